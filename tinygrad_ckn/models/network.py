"""What networks of images share: preprocessing, layers, a linear classifier on the last map, blocks of images."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

from tinygrad_ckn.backend import Generator, default_rng, is_whole, to_numpy, use, xp_of
from tinygrad_ckn.errors import CKNError, ConfigError, NotFittedError
from tinygrad_ckn.grad_mode import modes
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.labels import label_values
from tinygrad_ckn.models.batched import map_batches
from tinygrad_ckn.models.checks import check_device, check_finite, check_images
from tinygrad_ckn.models.learning.patches import blocks
from tinygrad_ckn.models.preprocessing.base import Preprocessor
from tinygrad_ckn.models.preprocessing.chain import make_preprocessor
from tinygrad_ckn.models.presets import get_preset
from tinygrad_ckn.models.training_record import TrainingRecord
from tinygrad_ckn.nn import Linear
from tinygrad_ckn.plain import plain_arguments
from tinygrad_ckn.tensor import Tensor
from tinygrad_ckn.windows import pair

MIRRORED = (None, "scores", "features")


class Network(TrainingRecord):
    """A classifier of images of one size; `CKN` and `CNN` say of what layers.

    Its parameters are those of `CKN`, but for the kind of layers.
    """

    layer_type: ClassVar[type[Any]]
    layers: list[Any]

    @plain_arguments
    def __init__(
        self,
        in_channels: int,
        image_size: int | Sequence[int],
        n_classes: int,
        layers: Sequence[Any],
        *,
        preprocessing: Any = None,
        mirror_average: str | None = None,
        rng: Generator | int | None = None,
    ) -> None:
        mine, kind = type(self).__name__, self.layer_type.__name__
        if not is_whole(in_channels, 1):
            raise ConfigError(
                f"{mine}: argument in_channels expected an integer >= 1, got {in_channels!r}"
            )
        if not is_whole(n_classes, 2):
            raise ConfigError(
                f"{mine}: argument n_classes expected an integer >= 2, got {n_classes!r}"
            )
        if isinstance(layers, self.layer_type):
            raise ConfigError(
                f"{mine}: argument layers expected a sequence of {kind}s, got one {kind}; put it in a list"
            )
        if not layers or not all(isinstance(layer, self.layer_type) for layer in layers):
            raise ConfigError(
                f"{mine}: argument layers expected at least one {kind} and nothing else, got {layers!r}"
            )
        self.in_channels = int(in_channels)
        self.image_size = pair(mine, "image_size", image_size, 1)
        self.n_classes = int(n_classes)
        if mirror_average not in MIRRORED:
            raise ConfigError(
                f"{mine}: argument mirror_average expected 'features', 'scores' or None, got {mirror_average!r}"
            )
        self.mirror_average = mirror_average
        self.preprocessing: Preprocessor | None = make_preprocessor(preprocessing)
        self.layers = list(layers)
        channels, *sides = self.prepared_shape
        size = sides[0], sides[1]
        for i, layer in enumerate(self.layers):
            if layer.in_channels != channels:
                raise ConfigError(
                    f"{mine}: layers[{i}] expected in_channels = {channels}, the channels before it, "
                    f"got {layer.in_channels}"
                )
            size, channels = layer.output_size(size), layer.n_filters
        dtypes = {str(layer.weight.dtype) for layer in self.layers}
        if len(dtypes) > 1:
            raise ConfigError(
                f"{mine}: layers expected one dtype, got {' and '.join(sorted(dtypes))}"
            )
        self.dtype = dtypes.pop()
        self.classifier = Linear(
            channels * math.prod(size), n_classes, rng=default_rng(rng), dtype=self.dtype
        )
        self._initial_version = self.classifier.weight.version
        self._outdated = False

    @classmethod
    def preset(
        cls,
        name: str,
        *,
        in_channels: int,
        image_size: int | Sequence[int],
        n_classes: int,
        preprocessing: Any = None,
        mirror_average: str | None = None,
        rng: Generator | int | None = None,
    ) -> Self:
        """Return a preset of this class, one of `models.PRESETS`; `models.build` takes those of both classes.

        Raises
        ------
        ConfigError
            If there is no such preset, or it is one of the other class.

        Examples
        --------
        >>> from tinygrad_ckn.models import CKN
        >>> len(CKN.preset("ckn5", in_channels=3, image_size=32, n_classes=10).layers)
        5
        """
        found, mine = get_preset(name), cls.__name__
        if found.model != mine:
            raise ConfigError(
                f"{mine}.preset: expected a preset of a {mine}, got {name!r} of a {found.model}; "
                f"use {found.model}.preset"
            )
        prepared, random = make_preprocessor(preprocessing), default_rng(rng)
        channels, layers = in_channels, []
        if prepared is not None:
            channels = prepared.output_shape(
                (in_channels, *pair(mine, "image_size", image_size, 1))
            )[0]
        for row in found.layers:
            layers.append(cls.layer_type(channels, **row, rng=random))
            channels = row["n_filters"]
        return cls(
            in_channels,
            image_size,
            n_classes,
            layers,
            preprocessing=prepared,
            mirror_average=mirror_average,
            rng=random,
        )

    @property
    def prepared_shape(self) -> tuple[int, int, int]:
        """The shape (C, H, W) of an image after preprocessing."""
        shape = (self.in_channels, *self.image_size)
        if self.preprocessing is None:
            return shape
        channels, height, width = self.preprocessing.output_shape(shape)
        return channels, height, width

    @abstractmethod
    def stacked(self, x: Any) -> Any:
        """Return the last map of preprocessed images."""

    def flat(self, x: Any) -> Any:
        """Return the last map of preprocessed images, flattened: (N, D)."""
        y = self.stacked(x)
        return y.reshape((y.shape[0], math.prod(y.shape[1:])))

    def fitted(self, x: Any) -> Any:
        """Return the features (N, D) of preprocessed images that the classifier is fitted on."""
        return self._both(x) if self.mirror_average == "features" else self.flat(x)

    def scored(self, x: Any) -> Any:
        """Return the features (N, D) of preprocessed images that the classifier is used on."""
        return self._both(x) if self.mirror_average else self.flat(x)

    def _both(self, x: Any) -> Any:
        return 0.5 * (self.flat(x) + self.flat(x[:, :, :, ::-1]))

    @property
    def is_fitted(self) -> bool:
        """Whether the classifier has other weights than the random ones it was made with.

        They may be fitted, loaded, descended to, or assigned; what is written into
        `weight.data[...]` is not seen.
        """
        return self.classifier.weight.version != self._initial_version

    def forget(self) -> None:
        """Take the classifier for unfitted until it has new weights: what it was fitted on is about to change.

        A training that is broken off then leaves no classifier of the old classes on
        features of the new filters.
        """
        self._outdated |= self.is_fitted
        self._initial_version = self.classifier.weight.version

    def metadata(self) -> dict[str, Any]:
        """Return what is known of the training beside the parameters, as JSON takes it."""
        return {**super().metadata(), "outdated": self._outdated and not self.is_fitted}

    def set_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Take what `metadata` returned of a model with the same architecture and parameters.

        Raises
        ------
        ConfigError
            If it is something else.
        """
        rest = dict(metadata)
        outdated = rest.pop("outdated", None)
        if not isinstance(outdated, bool):
            raise ConfigError(
                f"{type(self).__name__}.set_metadata: expected outdated as a bool, got {outdated!r}"
            )
        super().set_metadata(rest)
        if outdated:
            self.forget()

    def to(self, device: str) -> Self:
        """Move all parameters, buffers and gradients to a device, as `Module.to`; return self."""
        fitted = self.is_fitted
        super().to(device)
        if not fitted:
            self._initial_version = self.classifier.weight.version
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes, for copies, in which tensors count their versions from 0."""
        return {**vars(self), "_initial_version": -1 if self.is_fitted else 0}

    def _check_fitted(self, method: str) -> None:
        """Raise a NotFittedError if the classifier is outdated, or random and eval mode does not say it is wanted."""
        if self._outdated and not self.is_fitted:
            mine = type(self).__name__
            raise NotFittedError(
                f"{mine}.{method}: expected a classifier fitted on the features that there are now, got one of "
                "before the last training, which learned other filters or was broken off; call fit, or "
                "fit_classifier(images, labels)"
            )
        if self.training and not self.is_fitted:
            mine = type(self).__name__
            raise NotFittedError(
                f"{mine}.{method}: expected a classifier that was fitted, loaded or assigned, got the random one that "
                f"the {mine} was made with; call fit(images, labels) first, or eval() to use the model as it is"
            )

    @property
    def device(self) -> str:
        """Where the parameters are."""
        return self.classifier.weight.device

    def images(self, x: Any, *, look: bool = True) -> Any:
        """Return images, checked, in the model's dtype; Tensors stay Tensors.

        Parameters
        ----------
        x
            (N, C, H, W).
        look
            Whether to look for NaN.

        Raises
        ------
        ShapeError
            If they are not of shape (N, C, H, W) with this model's C, H and W.
        DTypeError
            If they are integers, which are not scaled as the training images were.
        DataError
            If there is NaN or infinity in them.
        BackendError
            If they are not on the model's device.
        """
        x = self._checked(x)
        check_device(type(self).__name__, "images", x, self.device)
        if look:
            check_finite(type(self).__name__, x)
        return x if x.dtype == self.dtype else x.astype(self.dtype)

    def _checked(self, x: Any) -> Any:
        return check_images(type(self).__name__, x, (self.in_channels, *self.image_size))

    def preprocess(self, images: Any) -> Any:
        """Return images (N, C, H, W) after preprocessing, as an array; themselves where there is none."""
        if self.preprocessing is None:
            return unwrap(images)
        return map_batches(self, self.preprocessing, images, self.prepared_shape)

    def features(self, x: Any) -> Any:
        """Return the features (N, D) of images (N, C, H, W): the last map, flattened; with mirror images their mean.

        Where no gradient can be asked for, images go through in blocks, so that memory
        stays bounded. Where one can, as in a training step, nobody waits for a GPU to
        tell of NaN in images: it goes on into the features.
        """
        recorded = modes.recording and (
            (isinstance(x, Tensor) and x.requires_grad)
            or any(p.requires_grad for layer in self.layers for p in layer.parameters())
        )
        x = self.images(x, look=not (recorded and use(self.device).asynchronous))
        if recorded:
            return self.scored(self._prepared(x))
        array = unwrap(x)
        y = xp_of(array).empty((len(array), self.classifier.in_features), dtype=self.dtype)
        for block in blocks(len(array), self.largest_intermediate()):
            y[block] = unwrap(self.scored(self._prepared(array[block])))
        return Tensor.wrap(y)

    def _prepared(self, x: Any) -> Any:
        return x if self.preprocessing is None else self.preprocessing(x)

    def largest_intermediate(self) -> int:
        """Return the number of elements an image has in the largest array that a layer makes of it."""
        size, largest = self.prepared_shape[1:], 0
        for layer in self.layers:
            largest, size = max(largest, layer.held(size)), layer.output_size(size)
        return largest

    def forward(self, x: Any) -> Any:
        """Return class scores (N, n_classes) of images (N, C, H, W)."""
        return self.classifier(self.features(x))

    def encode(self, images: Any, out: Any = None, *, batch_size: int | None = None) -> Any:
        """Return features (N, D) as an array, in eval mode and without recording; memory holds few images' maps.

        Parameters
        ----------
        images
            (N, C, H, W), floats; in memory or in a file (numpy.memmap). Blocks of them
            go to the model's device.
        out
            An array (N, D) of the model's dtype to fill, or the path of an .npy file,
            which is written anew and returned memory-mapped.
        batch_size
            Images taken at a time; None: by the size of the maps.

        Raises
        ------
        ShapeError, DTypeError, ConfigError
            If images are not of the model's size or dtype, `out` does not fit, or
            batch_size is not an integer >= 1.
        """
        array = self._on_scale(images)
        return map_batches(
            self, self.features, array, (self.classifier.in_features,), out, batch_size
        )

    def scores(self, images: Any) -> Any:
        """Return class scores (N, n_classes) as an array, in blocks of images; errors as of `predict`."""
        checked = self._on_scale(images)
        self._check_fitted("scores")
        return map_batches(self, self, checked, (self.n_classes,))

    def predict(self, images: Any) -> Any:
        """Return the label of each image, (N,): integers, strings or booleans, as the training labels were.

        Parameters
        ----------
        images
            (N, C, H, W), floats, scaled as the training images were: the loaders of
            `tinygrad_ckn.data` give [0, 1].

        Raises
        ------
        ShapeError
            If the images are not of the model's size.
        DTypeError
            If they are integers.
        DataError
            If all are scaled otherwise than the training images; if some are, a
            DataWarning is given.
        NotFittedError
            If the classifier is still the random one, and the model not in eval mode.
        """
        checked = self._checked(images)
        self._check_fitted("predict")
        numbers = self.scores(checked).argmax(axis=1)
        plain = type(self.classes[0]) is int and self.classes == tuple(
            range(self.n_classes)
        )  # False == 0 too
        return numbers if plain else label_values(to_numpy(numbers), self.classes)

    def _on_scale(self, images: Any) -> Any:
        """Return images of this network's size, checked as by `check_scale`."""
        x = self._checked(images)
        self.check_scale(x, f"{type(self).__name__}: argument images")
        return x

    def config(self) -> dict[str, Any]:
        """Return what `from_config` needs to build this architecture again, as JSON takes it."""
        return {
            "model": type(self).__name__,
            "in_channels": self.in_channels,
            "image_size": list(self.image_size),
            "n_classes": self.n_classes,
            "layers": [layer.config() for layer in self.layers],
            "preprocessing": None if self.preprocessing is None else self.preprocessing.config(),
            "mirror_average": self.mirror_average,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, rng: Generator | int | None = None) -> Self:
        """Return a model of this architecture, untrained; rng draws all initial weights (None: the package's).

        Raises
        ------
        ConfigError
            If the configuration is not one that `config()` gives.
        """
        try:
            random = default_rng(rng)
            layers = [cls.layer_type(**options, rng=random) for options in config["layers"]]
            more = {
                name: config[name] for name in ("preprocessing", "mirror_average") if name in config
            }
            return cls(
                config["in_channels"],
                config["image_size"],
                config["n_classes"],
                layers,
                **more,
                rng=random,
            )
        except CKNError:
            raise
        except (KeyError, TypeError) as error:
            raise ConfigError(
                f"{cls.__name__}.from_config: expected what config() returns, got {config!r}"
            ) from error
