"""What images go through before the first layer: the interface, and what its implementations share."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Self

from tinygrad_ckn.backend import Shape, is_whole, xp_of
from tinygrad_ckn.block_sums import map_blocks
from tinygrad_ckn.errors import ConfigError, DataError, ShapeError
from tinygrad_ckn.grad_mode import modes
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.models.checks import check_floating
from tinygrad_ckn.models.learning.patches import blocks
from tinygrad_ckn.nn import Module, init
from tinygrad_ckn.tensor import Tensor
from tinygrad_ckn.windows import image_shape as shape_of

# numbers in a block of training images
_BLOCK = 2**20


class Preprocessor(Module):
    """A map of images (N, C, H, W) to images (N, C', H', W'), which may learn from the training images.

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

    def fit(self, images: Any) -> Self:
        """Learn from training images (N, C, H, W), where there is something to learn; return self."""
        return self

    def output_shape(self, shape: Shape) -> Shape:
        """Return (C', H', W') of an image of shape (C, H, W)."""
        return tuple(shape)

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """Return the name and the constructor's arguments, as JSON takes them."""

    def extra_repr(self) -> str:
        """Return the constructor's arguments."""
        return ", ".join(
            f"{argument}={value}" for argument, value in self.config().items() if argument != "name"
        )


def image_shape(owner: str, x: Any) -> tuple[int, int, int, int]:
    """Return the shape (N, C, H, W) of images.

    Raises
    ------
    ShapeError, DTypeError
        If they have not such a shape, or are not floating.
    """
    check_floating(owner, x)
    return shape_of(owner, "x", x)


class Learned(Preprocessor):
    """A preprocessor that learns buffers, of float64, from images of `in_channels` channels."""

    in_channels: int | None = None

    def __init__(self, in_channels: int | None) -> None:
        if in_channels is not None:
            if not is_whole(in_channels, 1):
                owner = type(self).__name__
                raise ConfigError(
                    f"{owner}: argument in_channels expected an integer >= 1, got {in_channels!r}"
                )
            for name, shape in self.buffer_shapes(int(in_channels)).items():
                # Until they are learned or loaded.
                setattr(self, name, Tensor(init.constant(shape, math.nan, dtype="float64")))
            self.in_channels = int(in_channels)

    @abstractmethod
    def buffer_shapes(self, in_channels: int) -> dict[str, Shape]:
        """Return the shape of each buffer by name."""

    def check(self, x: Any) -> tuple[int, int, int, int]:
        """Return the shape (N, C, H, W) of images.

        Raises
        ------
        ShapeError, DTypeError
            If they have not this shape, not `in_channels` channels, or are not floating.
        """
        owner = type(self).__name__
        shape = image_shape(owner, x)
        if self.in_channels is not None and shape[1] != self.in_channels:
            raise ShapeError(
                f"{owner}: expected images of {self.in_channels} channels, got shape {shape}"
            )
        return shape

    def training_images(self, images: Any) -> tuple[Any, list[slice]]:
        """Return training images as an array, and the blocks in which sums over them are taken.

        Raises
        ------
        ShapeError, DTypeError
            As for `check`.
        DataError
            If there are none, or a pixel is NaN or infinite.
        """
        owner, array = type(self).__name__, unwrap(images)
        n, *shape = self.check(array)
        cuts = list(blocks(n, math.prod(shape), limit=_BLOCK))
        if not n:
            raise DataError(f"{owner}.fit: argument images expected at least one image, got none")
        if not all(bool(xp_of(array).isfinite(array[cut]).all()) for cut in cuts):
            raise DataError(
                f"{owner}.fit: argument images expected finite numbers, got NaN or infinity"
            )
        return array, cuts

    def learn(self, in_channels: int, **buffers: Any) -> Self:
        """Keep what was learned, arrays by the buffers' names; return self."""
        for name, array in buffers.items():
            setattr(self, name, Tensor.wrap(array))
        self.in_channels = in_channels
        return self

    def learned(self, name: str, dtype: Any) -> Any:
        """Return a buffer as an array of a dtype.

        Raises
        ------
        ConfigError
            If it is neither learned nor loaded.
        """
        buffer = getattr(self, name, None)
        if buffer is None or bool(xp_of(buffer.data).isnan(buffer.data).any()):
            raise ConfigError(
                f"{type(self).__name__}: expected to be fitted before use, got no {name}; call fit(images)"
            )
        return buffer.data.astype(dtype)


def applied(function: Callable[[Any], Any], x: Any, shape: Shape, size: float) -> Any:
    """Return function(x), of a shape, for images x (N, C, H, W): an array for an array, a Tensor for a Tensor.

    A Tensor of which gradients may be asked for is given to the function itself. Other
    images are given as arrays, in blocks, on all threads; on the way the function takes
    `size` bytes for each.
    """
    if isinstance(x, Tensor) and modes.recording and x.requires_grad:
        return function(x)
    y = map_blocks(function, unwrap(x), shape, size)
    return Tensor.wrap(y) if isinstance(x, Tensor) else y
