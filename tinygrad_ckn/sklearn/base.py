"""The base class of the estimators that learn a CKN.

Rows of X become images, parameters become layers, and a layer has no more filters than the
data have distinct patches.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Generator, NDArray, default_rng
from tinygrad_ckn.errors import ConfigError, ShapeError, TooFewPointsError
from tinygrad_ckn.integers import is_whole
from tinygrad_ckn.models import CKN, CKNLayer, Progress
from tinygrad_ckn.models.kernels import Exponential, Kernel
from tinygrad_ckn.models.network_structure import MirrorAverage
from tinygrad_ckn.models.preprocessing.chain import PreprocessorSpec, make_preprocessor
from tinygrad_ckn.models.presets import get_preset
from tinygrad_ckn.ops.pool_matrices import Subsampling
from tinygrad_ckn.plain import plain_array
from tinygrad_ckn.windows import Padding, Pair, pair

# Images with more channels are rare, and so are images with as few columns.
_FEW_CHANNELS = 4
T = TypeVar("T")
# Its parameters default to strings, which type checkers take for their types.
validate: Any = validate_data
# One value for all layers, or a sequence of one per layer.
PerLayer: TypeAlias = T | Sequence[T]
RandomState: TypeAlias = int | np.random.RandomState | None
Dtype: TypeAlias = Literal["float32", "float64"]
Report: TypeAlias = Callable[[Progress], None]


def _listed(value: Any) -> list[Any]:
    """Return a sequence or an array as a list, and anything else as a list of one."""
    value = plain_array(value)
    return list(value) if isinstance(value, Sequence) else [value]


class CKNEstimator(BaseEstimator):
    """A CKN whose filters are learned from the rows of X; parameters as for `CKNTransformer`."""

    n_features_in_: int

    def __init__(
        self,
        *,
        image_shape: Sequence[int] | None = None,
        channels_last: bool | None = None,
        preprocessing: PreprocessorSpec = None,
        mirror_average: MirrorAverage | None = None,
        preset: str | None = None,
        n_filters: PerLayer[int] = (32, 64),
        kernel_size: PerLayer[Pair] = 3,
        subsampling: PerLayer[Subsampling] = 2,
        kernel: PerLayer[Kernel | str] = "exponential",
        sigma: float = 0.6,
        padding: PerLayer[Padding] = "same",
        eps: PerLayer[float] = 1e-3,
        n_patches: int = 100_000,
        iterations: int = 10,
        random_state: RandomState = 0,
        dtype: Dtype | None = None,
    ) -> None:
        self.image_shape = image_shape
        self.channels_last = channels_last
        self.preprocessing = preprocessing
        self.mirror_average: MirrorAverage | None = mirror_average
        self.preset = preset
        self.n_filters = n_filters
        self.kernel_size = kernel_size
        self.subsampling = subsampling
        self.kernel = kernel
        self.sigma = sigma
        self.padding = padding
        self.eps = eps
        self.n_patches = n_patches
        self.iterations = iterations
        self.random_state = random_state
        self.dtype = dtype

    def _read(self, *data: ArrayLike, **options: Any) -> Any:
        """Return X, or X and y, validated by scikit-learn, X in this estimator's dtype."""
        checks.one_of(self._name, ("float32", "float64", None), dtype=self.dtype)
        return validate(self, *data, dtype=self.dtype or ["float64", "float32"], **options)

    def _fitted(self, X: ArrayLike) -> NDArray[Any]:
        """Return the rows of X as images for the fitted network."""
        check_is_fitted(self)
        return self._images(self._read(X, reset=False))

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _images(self, x: NDArray[Any]) -> NDArray[Any]:
        """Return the rows of an array as images (n, C, H, W).

        Raises
        ------
        ShapeError
            If image_shape does not fit the number of columns, or looks channels-last.
        """
        d = self.n_features_in_
        sizes = (1, 1, d) if self.image_shape is None else tuple(_listed(self.image_shape))
        if (
            len(sizes) not in (2, 3)
            or not all(is_whole(size, 1) for size in sizes)
            or math.prod(sizes) != d
        ):
            raise ShapeError(
                f"{self._name}: argument image_shape expected (H, W) or (C, H, W) with the product "
                f"{d}, the number of columns of X, got {self.image_shape!r}"
            )
        channels, height, width = sizes if len(sizes) == 3 else (1, *sizes)
        if self.channels_last:
            return np.ascontiguousarray(
                x.reshape(len(x), height, width, channels).transpose(0, 3, 1, 2)
            )
        if self.channels_last is None and width <= _FEW_CHANNELS < channels and width < height:
            raise ShapeError(
                f"{self._name}: argument image_shape expected (C, H, W), got "
                f"{self.image_shape!r}, which looks like (H, W, C); pass "
                f"image_shape=({width}, {channels}, {height}) with channels_last=True if the "
                "columns of X are in that order, or channels_last=False if they are not"
            )
        return x.reshape(len(x), channels, height, width)

    def _layer_options(self) -> list[dict[str, Any]]:
        """Return the options of each layer except in_channels."""
        if self.preset is not None:
            preset = get_preset(self.preset)
            if preset.model != "CKN":
                raise ConfigError(
                    f"{self._name}: argument preset expected one of a CKN, got {self.preset!r}"
                )
            return [dict(layer) for layer in preset.layers]
        layers: list[dict[str, Any]] = [{"n_filters": n} for n in _listed(self.n_filters)]
        for name in ("kernel_size", "subsampling", "kernel", "padding", "eps"):
            value = plain_array(getattr(self, name))
            values = value if isinstance(value, list) else [value] * len(layers)
            if len(values) != len(layers):
                raise ConfigError(
                    f"{self._name}: argument {name} expected one value, or a list of "
                    f"{len(layers)}, one for each layer, got a list of {len(values)}"
                )
            for layer, option in zip(layers, values, strict=True):
                layer[name] = option
        for layer in layers:
            if layer["kernel"] == "exponential":
                layer["kernel"] = Exponential(self.sigma)
        return layers

    def _learn_filters(
        self, model: CKN, images: NDArray[Any], rng: Generator, report: Report
    ) -> None:
        model.fit_unsupervised(
            images,
            n_patches=self._enough_patches(images),
            iterations=self.iterations,
            rng=rng,
            report=report,
        )

    def _enough_patches(self, images: NDArray[Any]) -> int:
        """Return n_patches, limited to four per position, as more would only be repeated."""
        checks.integers(self._name, n_patches=self.n_patches)
        return min(self.n_patches, 4 * int(images[:, 0].size))

    def _fit_model(
        self,
        images: NDArray[Any],
        n_classes: int,
        learn: Callable[[CKN, NDArray[Any], Generator, Report], None],
    ) -> CKN:
        """Return a CKN after learn(model, images, rng, report).

        Layers with fewer distinct patches than filters get fewer filters, with a warning.
        """
        options = self._layer_options()
        requested = [layer["n_filters"] for layer in options]
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        while True:
            events: list[Progress] = []
            model = self._model(images, n_classes, options)
            try:
                learn(model, images, default_rng(seed), events.append)
                break
            except TooFewPointsError as error:
                if not error.found:
                    raise
                learned_layers = sum(event.phase == "filters" for event in events)
                options[learned_layers]["n_filters"] = error.found
        for i, (layer, n_filters) in enumerate(zip(options, requested, strict=True)):
            if layer["n_filters"] < n_filters:
                warnings.warn(
                    f"{self._name}: layer {i + 1} expected at least {n_filters} distinct patches "
                    f"for {n_filters} filters, got fewer and has {layer['n_filters']} filters; use "
                    "fewer filters or more varied data",
                    ConvergenceWarning,
                    stacklevel=3,
                )
        return model

    def _model(self, images: NDArray[Any], n_classes: int, options: list[dict[str, Any]]) -> CKN:
        """Return an untrained CKN for images; kernels are cut to the maps they see."""
        # Fitting changes the preprocessor, which is a parameter.
        preprocessing = make_preprocessor(deepcopy(self.preprocessing))
        shape = images.shape[1:]
        channels, height, width = (
            shape if preprocessing is None else preprocessing.output_shape(shape)
        )
        size = height, width
        layers: list[CKNLayer] = []
        for layer in options:
            kernel = pair(self._name, "kernel_size", layer["kernel_size"], 1)
            cut = min(kernel[0], size[0]), min(kernel[1], size[1])
            changed = {"in_channels": channels, "kernel_size": cut, "dtype": str(images.dtype)}
            layers.append(CKNLayer(**layer | changed, rng=0))
            channels = layers[-1].n_filters
            size = layers[-1].output_size(size)
        return CKN(
            shape[0],
            shape[1:],
            n_classes,
            layers,
            preprocessing=preprocessing,
            mirror_average=self.mirror_average,
            rng=0,
        )
