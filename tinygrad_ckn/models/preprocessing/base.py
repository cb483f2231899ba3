"""The interface of preprocessors, and what its implementations share."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Self

from tinygrad_ckn import checks
from tinygrad_ckn.backend import DTypeLike, Images, NDArray, Shape, xp_of
from tinygrad_ckn.block_sums import map_blocks
from tinygrad_ckn.errors import ConfigError, DataError, ShapeError
from tinygrad_ckn.grad_mode import modes
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.lazy_images import is_lazy
from tinygrad_ckn.models import checks as image_checks
from tinygrad_ckn.models.batched import image_blocks
from tinygrad_ckn.nn import Module, init
from tinygrad_ckn.tensor import Tensor
from tinygrad_ckn.windows import image_shape as shape_of_images

# Elements of a block of training images.
_BLOCK = 2**20


class Preprocessor(Module):
    """A map of images (N, C, H, W) to images (N, C', H', W'), possibly fitted to data.

    Examples
    --------
    >>> class Negative(Preprocessor):
    ...     name = "negative"
    ...     def forward(self, x):
    ...         return 1 - x
    ...     def config(self):
    ...         return {"name": self.name}
    >>> Negative().fit(np.ones((1, 1, 2, 2))).output_shape((1, 2, 2))
    (1, 2, 2)
    """

    name: ClassVar[str]

    def fit(self, images: Images) -> Self:
        """Fit to training images (N, C, H, W), if there is anything to fit; return self."""
        return self

    def output_shape(self, shape: Shape) -> Shape:
        """Return (C', H', W') for an image of shape (C, H, W)."""
        return tuple(shape)

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """Return the name and the constructor's arguments as JSON values."""

    def extra_repr(self) -> str:
        """Return the constructor's arguments."""
        return ", ".join(
            f"{argument}={value}" for argument, value in self.config().items() if argument != "name"
        )


def image_shape(owner: str, x: Images) -> tuple[int, int, int, int]:
    """Return the shape (N, C, H, W) of images.

    Raises
    ------
    ShapeError, DTypeError
        If they do not have four axes, or are not floating.
    """
    image_checks.check_floating(owner, x)
    return shape_of_images(owner, "x", x)


class FittedPreprocessor(Preprocessor):
    """A preprocessor with float64 buffers fitted to images of `in_channels` channels.

    Until they are fitted or loaded they contain NaN, or with `in_channels` None do not
    exist.
    """

    in_channels: int | None = None

    def __init__(self, in_channels: int | None) -> None:
        checks.integers(type(self).__name__, or_none=True, in_channels=in_channels)
        if in_channels is None:
            return
        for name, shape in self._buffer_shapes(int(in_channels)).items():
            setattr(self, name, Tensor(init.constant(shape, math.nan, dtype="float64")))
        self.in_channels = int(in_channels)

    @abstractmethod
    def _buffer_shapes(self, in_channels: int) -> dict[str, Shape]:
        """Return the shape of each buffer by name."""

    def _check(self, x: Images) -> tuple[int, int, int, int]:
        """Return the shape (N, C, H, W) of images.

        Raises
        ------
        ShapeError, DTypeError
            If they do not have four axes and `in_channels` channels, or are not floating.
        """
        owner = type(self).__name__
        shape = image_shape(owner, x)
        if self.in_channels is not None and shape[1] != self.in_channels:
            raise ShapeError(
                f"{owner}: expected images of {self.in_channels} channels, got shape {shape}"
            )
        return shape

    def _training_images(self, images: Images) -> tuple[NDArray[Any], list[slice]]:
        """Return training images as an array, and blocks of them to sum over.

        Raises
        ------
        ShapeError, DTypeError
            As for `_check`.
        DataError
            If there are none, or a pixel is NaN or infinite.
        """
        owner = type(self).__name__
        array: NDArray[Any] = unwrap(images)
        n, *shape = self._check(array)
        blocks = list(image_blocks(n, math.prod(shape), limit=_BLOCK))
        if not n:
            raise DataError(f"{owner}.fit: argument images expected at least one image, got none")
        # Lazy images are checked when they are read.
        if not bool(is_lazy(array)) and not all(
            bool(xp_of(array).isfinite(array[block]).all()) for block in blocks
        ):
            raise DataError(
                f"{owner}.fit: argument images expected finite numbers, got NaN or infinity"
            )
        return array, blocks

    def _set_buffers(self, in_channels: int, **buffers: NDArray[Any]) -> Self:
        """Set the fitted buffers by name; return self."""
        for name, array in buffers.items():
            setattr(self, name, Tensor.wrap(array))
        self.in_channels = in_channels
        return self

    def _buffer(self, name: str, dtype: DTypeLike) -> NDArray[Any]:
        """Return a buffer as an array of a dtype.

        Raises
        ------
        ConfigError
            If it is neither fitted nor loaded.
        """
        buffer = getattr(self, name, None)
        if buffer is None or bool(xp_of(buffer.data).isnan(buffer.data).any()):
            raise ConfigError(
                f"{type(self).__name__}: expected to be fitted before use, got no {name}; "
                "call fit(images)"
            )
        array: NDArray[Any] = buffer.data.astype(dtype)
        return array


def apply_in_blocks(function: Callable[[Any], Any], x: Images, shape: Shape, size: float) -> Tensor:
    """Return function(x), of a shape, for images x (N, C, H, W).

    The result is an array for an array and a Tensor for a Tensor. A Tensor that may be
    differentiated is passed to the function as a whole. Other images are passed as arrays,
    in blocks, on all threads; `size` is the number of bytes the function needs for one
    image.
    """
    y: Any
    if isinstance(x, Tensor) and modes.recording and x.requires_grad:
        y = function(x)
    else:
        y = map_blocks(function, unwrap(x), shape, size)
        y = Tensor.wrap(y) if isinstance(x, Tensor) else y
    # To type checkers a Tensor, as the result of an operation is.
    return y
