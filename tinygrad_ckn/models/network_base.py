"""The half of a network that computes: preprocessing, layers and a linear classifier.

`network.py` adds what users call on data. The two are separate because the functions of
`learning/` work on a `NetworkBase` and the methods of `Network` call them.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

from tinygrad_ckn import checks
from tinygrad_ckn.backend import (
    Array,
    Generator,
    Images,
    NDArray,
    Shape,
    Vectors,
    asarray,
    backend_of,
    default_rng,
    use,
    xp_of,
)
from tinygrad_ckn.chunks import slices
from tinygrad_ckn.errors import CKNError, ConfigError
from tinygrad_ckn.files import PathLike
from tinygrad_ckn.grad_mode import evaluation, modes, no_grad
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.lazy_images import as_lazy, is_lazy
from tinygrad_ckn.models import batched
from tinygrad_ckn.models.checks import (
    check_device,
    check_finite,
    check_layers,
    check_results,
)
from tinygrad_ckn.models.layers.ckn_layer import CKNLayer
from tinygrad_ckn.models.layers.conv_layer import ConvLayer
from tinygrad_ckn.models.preprocessing.base import Preprocessor
from tinygrad_ckn.models.preprocessing.chain import PreprocessorSpec, make_preprocessor
from tinygrad_ckn.models.presets import get_preset
from tinygrad_ckn.models.training_record import TrainingRecord
from tinygrad_ckn.nn import Linear
from tinygrad_ckn.plain import plain_arguments
from tinygrad_ckn.profiling import record_function
from tinygrad_ckn.tensor import Tensor
from tinygrad_ckn.windows import pair

MirrorAverage = Literal["features", "scores"]


class NetworkBase(TrainingRecord):
    """A classifier of images of one size; parameters as for `CKN`.

    `CKN` and `CNN` choose the kind of layers.
    """

    layers: Sequence[CKNLayer | ConvLayer]
    preprocessing: Preprocessor | None
    _layer_type: ClassVar[type[CKNLayer] | type[ConvLayer]]

    @plain_arguments
    def __init__(
        self,
        in_channels: int,
        image_size: int | Sequence[int],
        n_classes: int,
        layers: Sequence[Any],
        *,
        preprocessing: PreprocessorSpec = None,
        mirror_average: MirrorAverage | None = None,
        rng: Generator | int | None = None,
    ) -> None:
        owner = type(self).__name__
        checks.integers(owner, in_channels=in_channels)
        checks.integers(owner, 2, n_classes=n_classes)
        check_layers(owner, layers, self._layer_type)
        self.in_channels = int(in_channels)
        self.image_size = pair(owner, "image_size", image_size, 1)
        self.n_classes = int(n_classes)
        checks.one_of(owner, ("features", "scores", None), mirror_average=mirror_average)
        self.mirror_average = mirror_average
        self.preprocessing = make_preprocessor(preprocessing)
        self.layers = list(layers)
        channels, size = self._last_map()
        dtypes = {str(layer.weight.dtype) for layer in self.layers}
        if len(dtypes) > 1:
            raise ConfigError(
                f"{owner}: layers expected one dtype, got {' and '.join(sorted(dtypes))}"
            )
        self.dtype = dtypes.pop()
        n_features = channels * math.prod(size)
        self.classifier = Linear(n_features, n_classes, rng=default_rng(rng), dtype=self.dtype)
        self._initial_version = self.classifier.weight.version
        self._outdated = False

    def _last_map(self) -> tuple[int, tuple[int, int]]:
        """Return channels and size of the last map, after checking that layers fit together."""
        channels, *sides = self._prepared_shape
        size = sides[0], sides[1]
        for i, layer in enumerate(self.layers):
            if layer.in_channels != channels:
                raise ConfigError(
                    f"{type(self).__name__}: layers[{i}] expected in_channels = {channels}, "
                    f"the channels before it, got {layer.in_channels}"
                )
            size = layer.output_size(size)
            channels = layer.n_filters
        return channels, size

    @classmethod
    def preset(
        cls,
        name: str,
        *,
        in_channels: int,
        image_size: int | Sequence[int],
        n_classes: int,
        preprocessing: PreprocessorSpec = None,
        mirror_average: MirrorAverage | None = None,
        rng: Generator | int | None = None,
    ) -> Self:
        """Return an untrained network from a preset of this class.

        Parameters
        ----------
        name : str
            One of `models.PRESETS`; `models.build` takes those of all classes.
        in_channels, image_size, n_classes, preprocessing, mirror_average
            As for `CKN`.
        rng : Generator, int or None, default None
            Generator or seed of all initial weights. None: the package's generator, see
            `manual_seed`.

        Raises
        ------
        ConfigError
            If the preset does not exist or is one of the other class.

        Examples
        --------
        >>> from tinygrad_ckn.models import CKN
        >>> len(CKN.preset("ckn5", in_channels=3, image_size=32, n_classes=10).layers)
        5
        """
        preset = get_preset(name)
        owner = cls.__name__
        if preset.model != owner:
            raise ConfigError(
                f"{owner}.preset: expected a preset of a {owner}, got {name!r} of a "
                f"{preset.model}; use {preset.model}.preset"
            )
        generator = default_rng(rng)
        prepared = make_preprocessor(preprocessing)
        channels = in_channels
        if prepared is not None:
            size = pair(owner, "image_size", image_size, 1)
            channels = prepared.output_shape((in_channels, *size))[0]
        layers = []
        for options in preset.layers:
            layers.append(cls._layer_type(channels, **options, rng=generator))
            channels = options["n_filters"]
        return cls(
            in_channels,
            image_size,
            n_classes,
            layers,
            preprocessing=prepared,
            mirror_average=mirror_average,
            rng=generator,
        )

    @property
    def device(self) -> str:
        """The device of the parameters, "cpu" or "cuda"."""
        return self.classifier.weight.device

    @property
    def _prepared_shape(self) -> tuple[int, int, int]:
        """The shape (C, H, W) of an image after preprocessing."""
        shape = (self.in_channels, *self.image_size)
        if self.preprocessing is None:
            return shape
        channels, height, width = self.preprocessing.output_shape(shape)
        return channels, height, width

    @abstractmethod
    def _apply_layers(self, x: Images) -> Tensor:
        """Return the last map (N, p, Ho, Wo) of preprocessed images."""

    def _flat_features(self, x: Images) -> Tensor:
        """Return the last map of preprocessed images, flattened: (N, D)."""
        y = self._apply_layers(x)
        return y.reshape((y.shape[0], math.prod(y.shape[1:])))

    def _training_features(self, x: Images) -> Tensor:
        """Return the features (N, D) of preprocessed images that the classifier is fitted to."""
        both = self.mirror_average == "features"
        return self._mirror_mean(x) if both else self._flat_features(x)

    def _test_features(self, x: Images) -> Tensor:
        """Return the features (N, D) of preprocessed images that scores are computed from."""
        return self._mirror_mean(x) if self.mirror_average else self._flat_features(x)

    def _test_scores(self, x: Images) -> NDArray[Any]:
        """Return the scores (N, n_classes) of preprocessed images, in batches."""
        shape = (self.n_classes,)
        return self._map_batches(lambda y: self.classifier(self._test_features(y)), x, shape)

    def _mirror_mean(self, x: Images) -> Tensor:
        """Return the mean features (N, D) of preprocessed images and their mirror images."""
        return 0.5 * (self._flat_features(x) + self._flat_features(x[:, :, :, ::-1]))

    def _largest_intermediate(self) -> int:
        """Return the elements per image of the largest intermediate array of any layer."""
        size = self._prepared_shape[1:]
        largest = 0
        for layer in self.layers:
            largest = max(largest, layer.largest_intermediate(size))
            size = layer.output_size(size)
        return largest

    def _check_images(self, x: Images, *, finite: bool = True) -> Images:
        """Return images of the model's size in its dtype; Tensors stay Tensors.

        `finite` False: do not check for NaN, which would wait for a GPU.

        Raises
        ------
        ShapeError
            If they are not of shape (N, C, H, W) with this model's C, H and W.
        DTypeError
            If they are not floating.
        DataError
            If one contains NaN or infinity.
        BackendError
            If they are not on the model's device.
        """
        x = self._check_shape(x)
        check_device(type(self).__name__, "images", x, self.device)
        if finite:
            check_finite(type(self).__name__, x)
        return x if x.dtype == self.dtype else x.astype(self.dtype)

    def preprocess(self, images: Images) -> NDArray[Any]:
        """Return images (N, C, H, W) after preprocessing, as an array.

        Without preprocessing the images themselves are returned. Of lazy images the result
        is lazy too, in a temporary file, if it takes more memory than they allow.
        """
        if self.preprocessing is None:
            array: NDArray[Any] = unwrap(images)
            return array
        shape = self._prepared_shape
        if not is_lazy(images):
            return self._map_batches(self.preprocessing, images, shape)
        memory = images.memory
        rows = images.room((len(images), *shape), self.dtype, "preprocessing")
        lazy: Any = images
        return as_lazy(self._map_batches(self.preprocessing, lazy, shape, rows), memory)

    def _preprocess(self, x: Images) -> Images:
        """Return one batch after preprocessing."""
        return x if self.preprocessing is None else self.preprocessing(x)

    @record_function("blocks of images")
    def _map_batches(
        self,
        function: Callable[[Any], Array],
        images: Images,
        shape: Shape,
        out: Vectors | PathLike | None = None,
        batch_size: int | None = None,
    ) -> NDArray[Any]:
        """Apply a function to images in batches, in eval mode and without recording.

        Parameters
        ----------
        function : callable
            Maps n images on the model's device to (n, *shape).
        images : array or Tensor
            (N, C, H, W), on the host or on the model's device.
        shape
            Of the result for one image; its dtype is the model's.
        out, batch_size
            As for `encode`.

        Returns
        -------
        array
            (N, *shape), where the images are, or `out`.

        Raises
        ------
        ConfigError, ShapeError
            If batch_size is not an integer >= 1, or `out` does not fit.
        DataError
            If images or results are not finite.
        """
        checks.integers("encode", or_none=True, batch_size=batch_size)
        owner = type(self).__name__
        array: NDArray[Any] = unwrap(images)
        in_place = backend_of(array).device == self.device

        def compute(batch: slice) -> NDArray[Any]:
            x = array[batch]
            check_finite(owner, x, batch.start)
            y: NDArray[Any] = unwrap(function(x if in_place else asarray(x, device=self.device)))
            check_results(owner, y, batch.start)
            return y

        n = len(array)
        batches = (
            batched.image_blocks(n, self._largest_intermediate())
            if batch_size is None
            else slices(n, batch_size)
        )
        with no_grad(), evaluation():
            return batched.map_batches(
                compute, batches, (n, *shape), self.dtype, xp=xp_of(array), out=unwrap(out)
            )

    def features(self, x: Images) -> Tensor:
        """Return the features (N, D) of images (N, C, H, W): the last map, flattened.

        With `mirror_average` they are the mean over each image and its mirror image.
        Unless it may be differentiated, the computation is done in batches, so that memory
        stays bounded. If it may, images on a GPU are not checked for NaN, which then
        appears in the features: a training step never waits.
        """
        recorded = modes.recording and (
            (isinstance(x, Tensor) and x.requires_grad)
            or any(p.requires_grad for layer in self.layers for p in layer.parameters())
        )
        x = self._check_images(x, finite=not (recorded and use(self.device).asynchronous))
        if recorded:
            x = x[:] if is_lazy(x) else x
            return self._test_features(self._preprocess(x))
        array = unwrap(x)
        y = xp_of(array).empty((len(array), self.classifier.in_features), dtype=self.dtype)
        for batch in batched.image_blocks(len(array), self._largest_intermediate()):
            y[batch] = unwrap(self._test_features(self._preprocess(array[batch])))
        return Tensor.wrap(y)

    def forward(self, x: Images) -> Tensor:
        """Return class scores (N, n_classes) of images (N, C, H, W)."""
        scores: Tensor = self.classifier(self.features(x))
        return scores

    def config(self) -> dict[str, Any]:
        """Return the architecture as JSON values, from which `from_config` rebuilds it."""
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
        """Return an untrained model of a configuration from `config()`.

        `rng` draws all initial weights; None: the package's generator.

        Raises
        ------
        ConfigError
            If the configuration is not one that `config()` returns.
        """
        try:
            generator = default_rng(rng)
            layers = [cls._layer_type(**options, rng=generator) for options in config["layers"]]
            optional = ("preprocessing", "mirror_average")
            return cls(
                config["in_channels"],
                config["image_size"],
                config["n_classes"],
                layers,
                **{name: config[name] for name in optional if name in config},
                rng=generator,
            )
        except CKNError:
            raise
        except (KeyError, TypeError) as error:
            raise ConfigError(
                f"{cls.__name__}.from_config: expected what config() returns, got {config!r}"
            ) from error
