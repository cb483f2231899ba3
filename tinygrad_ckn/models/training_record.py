"""The state of training that a network keeps besides its parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

from tinygrad_ckn.backend import Images
from tinygrad_ckn.data_format import DataFormat, warn_of_two_scales
from tinygrad_ckn.errors import ConfigError, NotFittedError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.labels import Label
from tinygrad_ckn.models.checks import check_images
from tinygrad_ckn.nn import Linear, Module
from tinygrad_ckn.windows import is_finite


class TrainingRecord(Module):
    """A module of images with the format of its training data and its classes.

    Attributes
    ----------
    data_format : DataFormat or None
        How the training images were read and what their labels mean; None before a fit.
        Set it to None to accept images of any scale.
    temperature : float or None
        Probabilities are the softmax of scores / temperature; None: this classifier does
        not give probabilities.
    """

    in_channels: int
    image_size: tuple[int, int]
    n_classes: int
    classifier: Linear
    _initial_version: int
    _outdated: bool
    data_format: DataFormat | None = None
    temperature: float | None = 1.0

    @property
    def classes(self) -> tuple[Label, ...]:
        """The label of each class; class numbers if there were no training labels."""
        known = () if self.data_format is None else self.data_format.classes
        return known or tuple(range(self.n_classes))

    def metadata(self) -> dict[str, Any]:
        """Return the state of training, to save with the parameters, as JSON values."""
        return {
            "data_format": None if self.data_format is None else self.data_format.config(),
            "temperature": self.temperature,
            "outdated": self._outdated and not self.is_fitted,
        }

    def set_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Restore the `metadata` of a model with the same architecture and parameters.

        Raises
        ------
        ConfigError
            If it is something else.
        """
        owner = f"{type(self).__name__}.set_metadata"
        outdated = dict(metadata).get("outdated")
        if not isinstance(outdated, bool):
            raise ConfigError(f"{owner}: expected outdated as a bool, got {outdated!r}")
        if set(metadata) != {"data_format", "temperature", "outdated"}:
            raise ConfigError(
                f"{owner}: expected what metadata() returns, got {str(metadata)[:80]}"
            )
        temperature = metadata["temperature"]
        if temperature is not None and not (is_finite(temperature) and temperature > 0):
            raise ConfigError(f"{owner}: expected a temperature > 0 or None, got {temperature!r}")
        config = metadata["data_format"]
        data_format = None if config is None else DataFormat.from_config(config)
        if data_format is not None:
            self._check_data_format(owner, data_format)
        self.temperature = temperature
        self.data_format = data_format
        if outdated:
            self._mark_unfitted()

    def _check_data_format(self, owner: str, data_format: DataFormat) -> None:
        shape = (self.in_channels, *self.image_size)
        n_classes = len(data_format.classes)
        if data_format.image_shape != shape or n_classes not in (0, self.n_classes):
            raise ConfigError(
                f"{owner}: expected the format of images {shape} of {self.n_classes} classes, "
                f"got that of images {data_format.image_shape} of {n_classes}"
            )

    def _record_format(
        self, images: Images, classes: Sequence[Label], data_format: DataFormat | None
    ) -> None:
        """Remember how training images (N, C, H, W) were read, and the label of each class.

        `data_format` None: they are arrays of unknown origin.
        """
        if data_format is None:
            warn_of_two_scales(images, f"{type(self).__name__}: argument images")
        recorded = data_format or DataFormat.of_arrays(images)
        same = recorded.classes == tuple(classes)
        names = recorded.class_names if same else tuple(str(label) for label in classes)
        self.data_format = replace(recorded, classes=tuple(classes), class_names=names)

    @property
    def is_fitted(self) -> bool:
        """Whether the classifier's weights are not the initial random ones.

        They may have been fitted, loaded, trained or assigned; writing into
        `weight.data[...]` is not noticed.
        """
        return self.classifier.weight.version != self._initial_version

    def _mark_unfitted(self) -> None:
        """Declare the classifier unfitted until it gets new weights.

        Called before the filters change, so that a training run that is interrupted does
        not leave a classifier of the old features in use.
        """
        self._outdated |= self.is_fitted
        self._initial_version = self.classifier.weight.version

    def _check_fitted(self, method: str) -> None:
        """Raise a NotFittedError if the classifier is outdated, or random outside eval mode."""
        owner = type(self).__name__
        if self._outdated and not self.is_fitted:
            raise NotFittedError(
                f"{owner}.{method}: expected a classifier fitted on the current features, got one "
                "from before the last training, which learned other filters or was interrupted; "
                "call fit, or fit_classifier(images, labels)"
            )
        if self.training and not self.is_fitted:
            raise NotFittedError(
                f"{owner}.{method}: expected a classifier that was fitted, loaded or assigned, "
                "got the initial random one; call fit(images, labels) first, or eval() to use the "
                "model anyway"
            )

    def to(self, device: str) -> Self:
        """Move all parameters, buffers and gradients to a device, as `Module.to`; return self."""
        fitted = self.is_fitted
        super().to(device)
        if not fitted:
            self._initial_version = self.classifier.weight.version
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes for a copy, whose tensors count their versions from 0."""
        return {**vars(self), "_initial_version": -1 if self.is_fitted else 0}

    def _check_shape(self, x: Images) -> Images:
        """Return images, checked for shape and dtype."""
        return check_images(type(self).__name__, x, (self.in_channels, *self.image_size))

    def _check_scale(self, images: Images) -> Images:
        """Return images, checked for shape, dtype and scale."""
        x = self._check_shape(images)
        check_scale(self, x, f"{type(self).__name__}: argument images")
        return x


def check_scale(model: TrainingRecord, images: Images, source: str) -> None:
    """Compare the scale of images (N, C, H, W) with that of a model's training images.

    `source` begins the message.

    Raises
    ------
    DataError
        If all images are 10 times fainter or brighter than nearly all training images.

    Warns
    -----
    DataWarning
        If some of them are.
    """
    if model.data_format is not None and len(images):
        hint = "scale them as those were, or set the model's data_format to None if they are right"
        model.data_format.pixels.check(unwrap(images), source, hint)
