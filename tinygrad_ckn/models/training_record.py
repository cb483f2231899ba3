"""What a network keeps of its training beside the parameters: how images were read, what scores and classes mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tinygrad_ckn.data_format import DataFormat, warn_of_two_scales
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.labels import Label
from tinygrad_ckn.nn import Module
from tinygrad_ckn.windows import is_finite


class TrainingRecord(Module):
    """A module of images that remembers how its training images were read; `Network` says what it computes.

    Attributes
    ----------
    data_format : DataFormat or None
        How the training images were read and what their labels mean; None before a fit.
        Set it to None to have images taken whatever their scale.
    temperature : float or None
        The softmax of scores / temperature are probabilities; None: of this classifier
        they are not.
    """

    in_channels: int
    image_size: tuple[int, int]
    n_classes: int
    data_format: DataFormat | None = None
    temperature: float | None = 1.0

    @property
    def classes(self) -> tuple[Label, ...]:
        """The label of each class, as training labels were; the class numbers where there were none."""
        known = () if self.data_format is None else self.data_format.classes
        return known or tuple(range(self.n_classes))

    def describe(
        self, images: Any, classes: Sequence[Label], data_format: DataFormat | None
    ) -> None:
        """Keep how training images (N, C, H, W) were read, by default as arrays, and the label of each class."""
        if data_format is None:
            warn_of_two_scales(images, f"{type(self).__name__}: argument images")
        found = data_format or DataFormat.of_arrays(images)
        names = (
            found.class_names
            if found.classes == tuple(classes)
            else tuple(str(label) for label in classes)
        )
        self.data_format = replace(found, classes=tuple(classes), class_names=names)

    def check_scale(self, images: Any, source: str) -> None:
        """Compare the scale of images (N, C, H, W) with that of the training images; `source` begins the message.

        Raises
        ------
        DataError
            If all are 10 times fainter or brighter than nearly all training images; if
            some are, a DataWarning is given.
        """
        if self.data_format is not None and len(images):
            mend = (
                "scale them as those were, or set data_format = None of the model if they are right"
            )
            self.data_format.pixels.check(unwrap(images), source, mend)

    def metadata(self) -> dict[str, Any]:
        """Return what is known of the training beside the parameters, as JSON takes it: data_format and temperature."""
        return {
            "data_format": None if self.data_format is None else self.data_format.config(),
            "temperature": self.temperature,
        }

    def set_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Take what `metadata` returned of a model with the same architecture.

        Raises
        ------
        ConfigError
            If it is something else.
        """
        name, shape = type(self).__name__, (self.in_channels, *self.image_size)
        if set(metadata) != {"data_format", "temperature"}:
            raise ConfigError(
                f"{name}.set_metadata: expected what metadata() returns, got {str(metadata)[:80]}"
            )
        temperature, config = metadata["temperature"], metadata["data_format"]
        if temperature is not None and not (is_finite(temperature) and temperature > 0):
            raise ConfigError(
                f"{name}.set_metadata: expected a temperature > 0 or None, got {temperature!r}"
            )
        found = None if config is None else DataFormat.from_config(config)
        if found is not None and (
            found.image_shape != shape or len(found.classes) not in (0, self.n_classes)
        ):
            raise ConfigError(
                f"{name}.set_metadata: expected the format of images {shape} of {self.n_classes} classes, got that of "
                f"images {found.image_shape} of {len(found.classes)}"
            )
        self.temperature, self.data_format = temperature, found
