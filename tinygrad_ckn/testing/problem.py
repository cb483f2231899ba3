"""A function and its leaves, which can be moved along directions and put back."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tinygrad_ckn.backend import Generator, NDArray, Shape, is_array, xp_of
from tinygrad_ckn.backward import backpropagate
from tinygrad_ckn.errors import DTypeError
from tinygrad_ckn.grad_mode import enable_grad
from tinygrad_ckn.graph import Variable, unwrap
from tinygrad_ckn.tensor import Tensor
from tinygrad_ckn.testing.layout import with_layout_of

# one per leaf or output; None stands for zeros
Arrays = Sequence[Any]


class Problem:
    """A checked function with its leaves at a point.

    `units` are the step units of each leaf: a number, or an array of the leaf's shape.
    """

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        leaves: Sequence[Tensor],
        names: Sequence[str],
    ) -> None:
        self.name = name
        self.leaves = list(leaves)
        self.names = list(names)
        self.origin = [leaf.data for leaf in leaves]
        self.function = function
        self.units: list[Any] = [power_of_two(rms([x])) or 1.0 for x in self.origin]
        # the last error that the function raised away from the point
        self.step_error: Exception | None = None

    def outputs(self) -> list[Tensor]:
        """Return the floating outputs, recorded; the function may itself call `grad`."""
        for leaf in self.leaves:
            leaf.grad = None
        with enable_grad():
            found = list(_tensors(self.function(*self.leaves)))
        for leaf in self.leaves:
            leaf.grad = None
        outputs = [y for y in found if not _whole(y)]
        if not outputs:
            raise DTypeError(
                f"{self.name}: expected a function that returns float64 Tensors here, got "
                "nothing but integers or "
                "booleans, which have no derivative"
            )
        for y in outputs:
            if not isinstance(y, Variable) or y.dtype != "float64":
                got = y.dtype if isinstance(y, Variable) else type(y).__name__
                raise DTypeError(
                    f"{self.name}: expected a function that returns float64 Tensors here, got {got}"
                )
        return outputs

    def values(self, *moves: tuple[float, Arrays]) -> list[Any]:
        """Return the arrays of the outputs at origin + sum of step * direction."""
        try:
            for i, leaf in enumerate(self.leaves):
                moved = self.origin[i]
                for step, direction in moves:
                    if direction[i] is not None and step:
                        moved = moved + (step * self.units[i]) * direction[i]
                if moved is not self.origin[i]:
                    leaf.data = with_layout_of(self.origin[i], moved)
            return [y.data for y in self.outputs()]
        finally:
            for leaf, data in zip(self.leaves, self.origin, strict=True):
                if leaf.data is not data:
                    leaf.data = data

    def moved_values(self, *moves: tuple[float, Arrays]) -> list[Any] | None:
        """Return the arrays of the outputs at a moved point; None if the function raises."""
        try:
            return self.values(*moves)
        except Exception as error:
            # out of the domain; a smaller step may not be
            self.step_error = error
            return None

    @contextmanager
    def elsewhere(self, arrays: Arrays) -> Iterator[None]:
        """Replace the arrays of the leaves within a block."""
        for leaf, array in zip(self.leaves, arrays, strict=True):
            leaf.data = array
        try:
            yield
        finally:
            for leaf, data in zip(self.leaves, self.origin, strict=True):
                leaf.data = data

    @contextmanager
    def moved(self, *moves: tuple[float, Arrays]) -> Iterator[None]:
        """Move the origin within a block."""
        origin = self.origin
        self.origin = [
            with_layout_of(x, x + sum((s * unit) * d[i] for s, d in moves if d[i] is not None))
            for i, (x, unit) in enumerate(zip(origin, self.units, strict=True))
        ]
        try:
            with self.elsewhere(self.origin):
                yield
        finally:
            self.origin = origin
            for leaf, data in zip(self.leaves, origin, strict=True):
                leaf.data = data

    def pull(
        self,
        outputs: Sequence[Tensor],
        gradients: Arrays,
        *,
        create_graph: bool = False,
        retain_graph: bool = False,
    ) -> list[Any]:
        """Return J^T g for each leaf; None if the outputs do not depend on it."""
        roots = [(y._vertex, g) for y, g in zip(outputs, gradients, strict=True) if y.requires_grad]
        results = backpropagate(
            roots, self.leaves, create_graph=create_graph, retain_graph=create_graph or retain_graph
        )
        pulled = [results.get(leaf) for leaf in self.leaves]
        return pulled if create_graph else [unwrap(g) for g in pulled]

    def displacement(self, direction: Arrays) -> list[Any]:
        """Return a direction in the units of the inputs."""
        return [
            None if d is None else unit * d for unit, d in zip(self.units, direction, strict=True)
        ]

    def direction(self, generator: Generator, only: int | None = None) -> list[Any]:
        """Draw a direction without small elements; None for the leaves that stay.

        Elements are multiples of 2^-8, steps and units powers of two, so that moved
        inputs are exact.
        """
        return [
            xp_of(x).asarray(
                signs(generator, x.shape) * generator.integers(128, 384, x.shape) / 256.0
            )
            if only is None or only == i
            else None
            for i, x in enumerate(self.origin)
        ]


def restricted(direction: Arrays, i: int, start: int, stop: int) -> list[Any]:
    """Return a direction of leaf i with all but elements start to stop - 1 set to zero."""
    d = direction[i]
    xp = xp_of(d)
    k = xp.arange(d.size).reshape(d.shape)
    return [None if j != i else d * ((k >= start) & (k < stop)) for j in range(len(direction))]


def _tensors(result: Any) -> Iterator[Any]:
    """Yield the Tensors in nested tuples, lists and dicts."""
    if isinstance(result, tuple | list):
        for part in result:
            yield from _tensors(part)
    elif isinstance(result, dict):
        for part in result.values():
            yield from _tensors(part)
    else:
        yield result


def _whole(y: Any) -> bool:
    """Return whether an output has integers or booleans, which have no derivative."""
    return is_array(unwrap(y)) and unwrap(y).dtype.kind in "iub"


def term_size(a: Arrays, b: Arrays) -> float:
    """Return the norm of the terms of <a, b>."""
    return rms(
        [x * y for x, y in zip(a, b, strict=True) if x is not None and y is not None],
        root_of_sum=True,
    )


def dot(a: Arrays, b: Arrays) -> float:
    """Return the inner product; None counts as zeros."""
    return math.fsum(
        float((x * y).sum()) for x, y in zip(a, b, strict=True) if x is not None and y is not None
    )


def rms(arrays: Arrays, *, root_of_sum: bool = False) -> float:
    """Return the root of the mean (or sum) of squares, without overflow; None is skipped."""
    given = [a for a in arrays if a is not None and a.size]
    largest = max((float(abs(a).max()) for a in given), default=0.0)
    if not largest or not math.isfinite(largest):
        return largest
    total = math.fsum(float(((a / largest) ** 2).sum()) for a in given)
    return largest * math.sqrt(total if root_of_sum else total / sum(a.size for a in given))


def norm(arrays: Arrays) -> float:
    """Return the Euclidean norm of all elements."""
    return rms(arrays, root_of_sum=True)


def sum_of_sizes(arrays: Arrays) -> float:
    """Return the sum of absolute values of all elements."""
    return math.fsum(float(abs(a).sum()) for a in arrays if a is not None)


def power_of_two(x: float) -> float:
    """Return the power of two at or below x; 0 for 0."""
    return math.ldexp(0.5, math.frexp(x)[1]) if x and math.isfinite(x) else 0.0


def signs(generator: Generator, shape: Shape) -> NDArray[Any]:
    """Draw -1 or 1."""
    return 2.0 * generator.integers(0, 2, shape) - 1.0


def random_like(arrays: Arrays, generator: Generator) -> list[Any]:
    """Draw gradients with absolute values in [0.5, 1.5) and random signs."""
    return [
        xp_of(y).asarray(signs(generator, y.shape) * generator.uniform(0.5, 1.5, y.shape))
        for y in arrays
    ]


@contextmanager
def quietly() -> Iterator[None]:
    """Silence floating-point warnings of steps out of the domain."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
