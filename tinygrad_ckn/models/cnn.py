"""The convolutional neural network beside a CKN: the same layers, with ReLU for the kernel map.

N batch, C channels, H x W image, p filters of kh x kw.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

from tinygrad_ckn import checks, ops
from tinygrad_ckn.backend import Generator, default_rng, is_whole
from tinygrad_ckn.data_format import DataFormat
from tinygrad_ckn.errors import ConfigError, ShapeError
from tinygrad_ckn.fingerprints import groups_of_equal
from tinygrad_ckn.models.checks import check_floating
from tinygrad_ckn.models.layers.pooling import Pooling
from tinygrad_ckn.models.learner import Learner
from tinygrad_ckn.models.learning import fit as fitting
from tinygrad_ckn.models.learning.finetuning_options import FineTuning
from tinygrad_ckn.models.learning.progress import Progress, no_report
from tinygrad_ckn.nn import Conv2d, Module, Parameter
from tinygrad_ckn.ops.pool_matrices import Subsampling
from tinygrad_ckn.plain import plain_arguments, plain_array
from tinygrad_ckn.windows import Padding, Pair, Windows

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "relu": ops.relu,
    "tanh": ops.tanh,
    "sigmoid": ops.sigmoid,
    "softplus": ops.softplus,
}


class ConvLayer(Module):
    """Correlation with learned filters and a bias, activation, pooling: (N, C, H, W) -> (N, p, Ho, Wo).

    Its maps have the shapes of those of a `CKNLayer` with the same options.

    Parameters
    ----------
    in_channels, n_filters
        C and p.
    kernel_size
        Number or (vertical, horizontal).
    subsampling, pooling
        As for `CKNLayer`.
    padding
        "same" | "valid" | "full", a number or a pair, as for `ops.correlate2d`.
    activation
        "relu", "tanh", "sigmoid" or "softplus".
    rng
        Generator or seed of the initial filters, drawn for ReLU (He et al. 2015, arXiv
        1502.01852); biases are 0. None: the package's.
    dtype
        "float32" or "float64".

    Raises
    ------
    ConfigError, ShapeError
        If an option is out of its range.

    Examples
    --------
    >>> layer = ConvLayer(1, 8, 3, subsampling=2)
    >>> layer(Tensor(np.ones((2, 1, 6, 5), dtype="float32"))).shape
    (2, 8, 3, 3)
    """

    @plain_arguments
    def __init__(
        self,
        in_channels: int,
        n_filters: int,
        kernel_size: Pair,
        *,
        subsampling: Subsampling = 1,
        pooling: str = "gaussian",
        padding: Padding = "same",
        activation: str = "relu",
        rng: Generator | int | None = None,
        dtype: str = "float32",
    ) -> None:
        for name, value in (("in_channels", in_channels), ("n_filters", n_filters)):
            if not is_whole(value, 1):
                raise ConfigError(
                    f"ConvLayer: argument {name} expected an integer >= 1, got {value!r}"
                )
        if activation not in ACTIVATIONS:
            raise ConfigError(
                f"ConvLayer: argument activation expected one of {', '.join(ACTIVATIONS)}, got {activation!r}"
            )
        self.in_channels, self.n_filters = int(in_channels), int(n_filters)
        self.pooling = Pooling.of("ConvLayer", pooling, subsampling)
        self.windows = Windows.of("ConvLayer", kernel_size, self.pooling.stride, padding)
        self.padding, self.activation = plain_array(padding), activation
        self.convolution = Conv2d(
            self.in_channels,
            self.n_filters,
            kernel_size,
            stride=self.pooling.stride,
            padding=padding,
            rng=default_rng(rng),
            dtype=dtype,
        )

    @property
    def weight(self) -> Parameter:
        """The filters (p, C, kh, kw)."""
        return self.convolution.weight

    def forward(self, x: Any) -> Any:
        """Return the map of images (N, C, H, W)."""
        checks.array("ConvLayer", x=x)
        if len(x.shape) != 4 or x.shape[1] != self.in_channels:
            raise ShapeError(
                f"ConvLayer: expected images of shape (N, {self.in_channels}, H, W), got {tuple(x.shape)}"
            )
        check_floating("ConvLayer", x)
        self.output_size(x.shape[2:])
        return self.pooling(ACTIVATIONS[self.activation](self.convolution(x)))

    def output_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return (Ho, Wo) for images of size (H, W).

        Raises
        ------
        ShapeError
            If the kernel is larger than the padded image, or the subsampling leaves
            nothing of it.
        """
        return self.pooling.output_size(self.windows.output_size(size))

    def held(self, size: tuple[int, int]) -> int:
        """Return the number of elements that an image of size (H, W) has in the largest array that the map makes."""
        height, width = self.windows.output_size(size)
        return self.n_filters * height * width

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments, as JSON takes them."""
        return {
            "in_channels": self.in_channels,
            "n_filters": self.n_filters,
            "kernel_size": list(self.windows.kernel),
            "subsampling": list(self.pooling.subsampling),
            "pooling": self.pooling.name,
            "padding": self.padding,
            "activation": self.activation,
            "dtype": str(self.weight.dtype),
        }

    def extra_repr(self) -> str:
        """Return the options for the module tree."""
        subsampling = " x ".join(f"{s:g}" for s in dict.fromkeys(self.pooling.subsampling))
        return f"{self.activation}, subsampling {subsampling}"


class CNN(Learner):
    """A convolutional neural network for images of one size, to compare a CKN with.

    Parameters
    ----------
    in_channels
        C.
    image_size
        (H, W), or one number for square images.
    n_classes
        Number of classes, at least 2.
    layers
        Sequence of ConvLayers; each takes as many channels as the one before has filters.
    preprocessing, mirror_average
        As for `CKN`.
    rng
        Generator or seed of the classifier's initial weights; None: the package's.

    Raises
    ------
    ConfigError, ShapeError
        If the layers do not fit on each other or on the image.

    Examples
    --------
    >>> model = CNN(1, 8, 10, [ConvLayer(1, 4, 3, subsampling=2), ConvLayer(4, 6, 3, subsampling=2)])
    >>> model.features(np.ones((5, 1, 8, 8), dtype="float32")).shape
    (5, 24)
    """

    layer_type = ConvLayer

    def stacked(self, x: Any) -> Any:
        """Return the last map of preprocessed images."""
        for layer in self.layers:
            x = layer(x)
        return x

    @plain_arguments
    def fit(
        self,
        images: Any,
        labels: Any,
        *,
        descent: FineTuning | None = None,
        loss: str = "cross_entropy",
        l2: float | None = None,
        data_format: DataFormat | None = None,
        rng: Generator | int | None = None,
        report: Callable[[Progress], None] = no_report,
    ) -> Self:
        """Learn everything by stochastic gradient descent, and at last the classifier again by L-BFGS.

        In a joint descent the classifier starts from zero: one that is solved for
        random filters has weights so large that the first steps would throw the filters
        far off.

        Parameters
        ----------
        images, labels
            (N, C, H, W), floats scaled as those that the model is used on later, and
            labels as for `CKN.fit`.
        descent
            How it learns; None: `FineTuning()`, for a CNN has no other way to learn its
            filters.
        loss, l2
            As for `fit_classifier`.
        data_format
            As for `CKN.fit`.
        rng
            Generator or seed; None: the package's, see `manual_seed`.
        report
            Called as it goes on.

        Raises
        ------
        ConfigError
            If descent, loss or l2 is not what it should be.
        ShapeError, DTypeError, DataError
            If images or labels are not what they should be.
        GradientError
            If the loss becomes NaN or infinite; the parameters are then those of the
            best epoch before.
        """
        fitting.check_fit(descent, loss, l2)
        array, y, classes = self.training_set(
            images, labels, data_format.classes if data_format else ()
        )
        self.forget()
        self.describe(array, classes, data_format)
        prepared = self.fit_preprocessing(array)
        descent = FineTuning() if descent is None else descent
        fitting.fit_with_labels(
            self,
            prepared,
            y,
            descent=descent,
            loss=loss,
            l2=l2,
            from_zero=True,
            groups=groups_of_equal(array),
            rng=default_rng(rng),
            report=report,
        )
        return self
