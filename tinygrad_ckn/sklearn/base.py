"""What the estimators share: rows of X as images, layers from parameters, and no more filters than the data have."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from tinygrad_ckn.backend import CPU, Generator, default_rng, is_whole
from tinygrad_ckn.errors import ConfigError, ShapeError, TooFewPointsError
from tinygrad_ckn.models import CKN, CKNLayer, Progress
from tinygrad_ckn.models.kernels import Exponential, Kernel
from tinygrad_ckn.models.preprocessing.chain import make_preprocessor
from tinygrad_ckn.models.presets import get_preset
from tinygrad_ckn.plain import plain_array
from tinygrad_ckn.windows import pair

# more are rare, and so are images of so few columns
_FEW_CHANNELS = 4
Report = Callable[[Progress], None]


def _listed(value: Any) -> list[Any]:
    """Return a sequence or an array as a list, and anything else in one."""
    value = plain_array(value)
    return list(value) if isinstance(value, Sequence) else [value]


class CKNEstimator(BaseEstimator):
    """A CKN of which the filters are learned from the rows of X; parameters as for `CKNTransformer`."""

    def __init__(
        self,
        *,
        image_shape: Sequence[int] | None = None,
        channels_last: bool | None = None,
        preprocessing: Any = None,
        mirror_average: str | None = None,
        preset: str | None = None,
        n_filters: int | Sequence[int] = (32, 64),
        kernel_size: Any = 3,
        subsampling: Any = 2,
        kernel: Kernel | str = "exponential",
        sigma: float = 0.6,
        padding: Any = "same",
        eps: float = 1e-3,
        n_patches: int = 100_000,
        iterations: int = 10,
        random_state: Any = 0,
        dtype: str | None = None,
    ) -> None:
        self.image_shape = image_shape
        self.channels_last = channels_last
        self.preprocessing = preprocessing
        self.mirror_average = mirror_average
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

    def _read(self, *data: Any, **options: Any) -> Any:
        """Return X, or X and y, checked as scikit-learn does, X of this estimator's dtype."""
        if self.dtype not in (None, "float32", "float64"):
            raise ConfigError(
                f"{self._name}: argument dtype expected None, 'float32' or 'float64', got {self.dtype!r}"
            )
        return validate_data(self, *data, dtype=self.dtype or ["float64", "float32"], **options)

    def _fitted(self, X: Any) -> Any:
        """Return the rows of X as images for the network that was fitted."""
        check_is_fitted(self)
        return self._images(self._read(X, reset=False))

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _images(self, x: Any) -> Any:
        """Return the rows of an array as images (n, C, H, W)."""
        d = self.n_features_in_
        sizes = (1, 1, d) if self.image_shape is None else tuple(_listed(self.image_shape))
        if (
            len(sizes) not in (2, 3)
            or not all(is_whole(size, 1) for size in sizes)
            or math.prod(sizes) != d
        ):
            raise ShapeError(
                f"{self._name}: argument image_shape expected (H, W) or (C, H, W) with the product {d}, the number "
                f"of columns of X, got {self.image_shape!r}"
            )
        channels, height, width = sizes if len(sizes) == 3 else (1, *sizes)
        if self.channels_last:
            return CPU.xp.ascontiguousarray(
                x.reshape(len(x), height, width, channels).transpose(0, 3, 1, 2)
            )
        if self.channels_last is None and width <= _FEW_CHANNELS < channels and width < height:
            raise ShapeError(
                f"{self._name}: argument image_shape expected (C, H, W), got {self.image_shape!r}, which looks like "
                f"(H, W, C); give image_shape=({width}, {channels}, {height}) with channels_last=True if the columns "
                "of X are in that order, or channels_last=False if they are not"
            )
        return x.reshape(len(x), channels, height, width)

    def _layer_options(self) -> list[dict[str, Any]]:
        """Return the options of each layer, of which the number of channels follows from the layer before."""
        if self.preset is not None:
            found = get_preset(self.preset)
            if found.model != "CKN":
                raise ConfigError(
                    f"{self._name}: argument preset expected one of a CKN, got {self.preset!r}"
                )
            return [dict(row) for row in found.layers]
        counts = _listed(self.n_filters)
        layers: list[dict[str, Any]] = [{"n_filters": n} for n in counts]
        for name in ("kernel_size", "subsampling", "kernel", "padding", "eps"):
            value = plain_array(getattr(self, name))
            values = value if isinstance(value, list) else [value] * len(counts)
            if len(values) != len(counts):
                raise ConfigError(
                    f"{self._name}: argument {name} expected one value, or a list of {len(counts)}, one for each "
                    f"layer, got a list of {len(values)}"
                )
            for layer, own in zip(layers, values, strict=True):
                layer[name] = (
                    Exponential(self.sigma) if name == "kernel" and own == "exponential" else own
                )
        return layers

    def _learn_filters(self, model: CKN, images: Any, random: Generator, report: Report) -> None:
        n_patches = self._enough_patches(images)
        model.fit_unsupervised(
            images, n_patches=n_patches, iterations=self.iterations, rng=random, report=report
        )

    def _enough_patches(self, images: Any) -> int:
        """Return n_patches, or on small data four for each place: more draws would only repeat patches."""
        if not is_whole(self.n_patches, 1):
            raise ConfigError(
                f"{self._name}: argument n_patches expected an integer >= 1, got {self.n_patches!r}"
            )
        return min(self.n_patches, 4 * int(images[:, 0].size))

    def _fit_model(
        self, images: Any, n_classes: int, learn: Callable[[CKN, Any, Generator, Report], None]
    ) -> CKN:
        """Return a CKN after learn(model, images, generator, report), with fewer filters where patches are too few."""
        options = self._layer_options()
        asked = [layer["n_filters"] for layer in options]
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        while True:
            random, reports = default_rng(seed), list[Progress]()
            model = self._model(images, n_classes, options)
            try:
                learn(model, images, random, reports.append)
                break
            except TooFewPointsError as error:
                if not error.found:
                    raise
                # layers
                learned = sum(progress.phase == "filters" for progress in reports)
                options[learned]["n_filters"] = error.found
        for i, (layer, wanted) in enumerate(zip(options, asked, strict=True)):
            if layer["n_filters"] < wanted:
                warnings.warn(
                    f"{self._name}: layer {i + 1} expected {wanted} distinct patches or more for {wanted} filters, "
                    f"got fewer and has {layer['n_filters']} filters; use fewer filters or more varied data",
                    ConvergenceWarning,
                    stacklevel=3,
                )
        return model

    def _model(self, images: Any, n_classes: int, options: list[dict[str, Any]]) -> CKN:
        """Return an untrained CKN for images, of which each layer's kernels are cut to the map that they see."""
        # fitting changes it
        preprocessing = make_preprocessor(deepcopy(self.preprocessing))
        shape = images.shape[1:]
        channels, height, width = (
            shape if preprocessing is None else preprocessing.output_shape(shape)
        )
        size, layers = (height, width), []
        for layer in options:
            kernel = pair(self._name, "kernel_size", layer["kernel_size"], 1)
            cut = min(kernel[0], size[0]), min(kernel[1], size[1])
            own = {"in_channels": channels, "kernel_size": cut, "dtype": str(images.dtype)}
            layers.append(CKNLayer(**layer | own, rng=0))
            channels, size = layers[-1].n_filters, layers[-1].output_size(size)
        mirror_average = self.mirror_average
        return CKN(
            shape[0],
            shape[1:],
            n_classes,
            layers,
            preprocessing=preprocessing,
            mirror_average=mirror_average,
            rng=0,
        )
