"""What images go through before the first layer: the interface, and the checks that all of them share."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Self

from tinygrad_ckn.backend import Shape
from tinygrad_ckn.modes import modes
from tinygrad_ckn.nn import Module
from tinygrad_ckn.tensor import Tensor


class Preprocessor(Module):
    """A map of images (N, C, H, W) to images (N, C', H', W'), which may learn from the training images.

    Examples
    --------
    >>> class Halve(Preprocessor):
    ...     name = "halve"
    ...     def forward(self, x):
    ...         return x / 2
    ...     def config(self):
    ...         return {"name": "halve"}
    >>> Halve().fit(np.ones((1, 1, 2, 2))).output_shape((1, 2, 2))
    (1, 2, 2)
    """

    name: ClassVar[str]

    def fit(self, images: Any) -> Self:
        """Learn from training images (N, C, H, W), if there is something to learn; return self."""
        return self

    def output_shape(self, shape: Shape) -> Shape:
        """Return (C', H', W') for images of shape (C, H, W)."""
        return tuple(shape)

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """Return the name and the constructor's arguments, as JSON takes them."""

    def extra_repr(self) -> str:
        """Return the constructor's arguments."""
        return ", ".join(f"{name}={value}" for name, value in self.config().items() if name != "name")


def is_recorded(x: Any) -> bool:
    """Tell whether a gradient may be asked for of what is computed from x."""
    return isinstance(x, Tensor) and modes.recording and x.requires_grad
