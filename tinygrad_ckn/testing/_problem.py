"""The point at which derivatives are checked: leaves that can be moved along directions and put back."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from tinygrad_ckn.backend import Generator, xp_of
from tinygrad_ckn.backward import backpropagate
from tinygrad_ckn.errors import DTypeError, LinearAlgebraError
from tinygrad_ckn.graph import Variable, raw
from tinygrad_ckn.modes import no_grad
from tinygrad_ckn.tensor import Tensor
from tinygrad_ckn.testing._numeric import Estimate, mixed_derivative


class Problem:
    """A function at its leaves, which can be moved along directions and put back."""

    def __init__(self, name: str, function: Callable[..., Any], leaves: Sequence[Tensor], names: Sequence[str]) -> None:
        self.name = name
        self.leaves = list(leaves)
        self.names = list(names)
        self.origin = [leaf.data for leaf in leaves]
        self.function = function
        # The steps are relative to the size of the data.
        self.scales = [math.sqrt(float((x * x).mean())) or 1.0 if x.size else 1.0 for x in self.origin]

    def outputs(self) -> list[Tensor]:
        result = self.function(*self.leaves)
        outputs = list(result) if isinstance(result, tuple | list) else [result]
        for y in outputs:
            if not isinstance(y, Variable) or y.dtype != "float64":
                got = y.dtype if isinstance(y, Variable) else type(y).__name__
                raise DTypeError(f"{self.name}: expected a function that returns float64 Tensors here, got {got}")
        return outputs

    def values(self, *moves: tuple[float, Sequence[Any]]) -> list[Any]:
        """Return the outputs' arrays at origin + sum of step * direction; directions are in units of the scales."""
        try:
            for i, leaf in enumerate(self.leaves):
                leaf.data = self.origin[i] + sum(s * self.scales[i] * d[i] for s, d in moves)
            with no_grad():
                return [y.data for y in self.outputs()]
        except LinearAlgebraError:
            if not moves:
                raise
            return [math.nan * x for x in self.origin[:1]]  # a step out of the domain: no use, smaller ones are
        finally:
            for leaf, data in zip(self.leaves, self.origin, strict=True):
                leaf.data = data

    def along(self, upstream: Sequence[Any], direction: Sequence[Any]) -> Callable[[float], float]:
        """Return s -> <upstream, f(origin + s direction)>."""
        return lambda s: dot(upstream, self.values((s, direction)))

    def mixed(self, upstream: Sequence[Any], u: Sequence[Any], v: Sequence[Any]) -> Estimate:
        """Return the mixed second derivative of <upstream, f(origin + s u + t v)>."""
        return mixed_derivative(lambda s, t: dot(upstream, self.values((s, u), (t, v))))

    def directions(self, generator: Generator, only: int | None = None) -> list[Any]:
        return [
            xp_of(x).asarray(generator.standard_normal(x.shape) * (only is None or only == i))
            for i, x in enumerate(self.origin)
        ]

    def pull(self, outputs: Sequence[Tensor], gradients: Sequence[Any], create_graph: bool = False) -> list[Any]:
        """Return J^T g for every leaf; None where the outputs do not depend on it."""
        roots = [(y._node or y, g) for y, g in zip(outputs, gradients, strict=True) if y.requires_grad]
        results = backpropagate(roots, self.leaves, create_graph=create_graph, retain_graph=create_graph)
        return [results.get(leaf) for leaf in self.leaves]


def dot(a: Sequence[Any], b: Sequence[Any]) -> float:
    return math.fsum(float((x * y).sum()) for x, y in zip(a, b, strict=True) if x is not None)


def norm(a: Sequence[Any]) -> float:
    return math.sqrt(math.fsum(float((x * x).sum()) for x in a if x is not None))


def count(a: Sequence[Any]) -> int:
    return max(1, sum(int(x.size) for x in a))


def random_like(arrays: Sequence[Any], generator: Generator) -> list[Any]:
    return [xp_of(y).asarray(generator.standard_normal(y.shape)) for y in arrays]


def problem_of(function: Callable[..., Any], inputs: Any) -> Problem:
    """Wrap a function and the point: floating inputs become float64 leaves, others are passed as they are."""
    name = str(getattr(function, "name", None) or getattr(function, "__name__", type(function).__name__))
    points = [inputs] if isinstance(inputs, Variable) or hasattr(inputs, "dtype") else list(inputs)
    floating = [i for i, p in enumerate(points) if hasattr(raw(p), "dtype") and raw(p).dtype.kind == "f"]
    if not floating:
        raise DTypeError(
            f"{name}: expected at least one floating array among the inputs, got none; pass float64 arrays"
        )

    def of_leaves(*leaves: Any) -> Any:
        given = dict(zip(floating, leaves, strict=True))
        return function(*[given.get(i, point) for i, point in enumerate(points)])

    leaves = [Variable.leaf(raw(points[i]).astype("float64")) for i in floating]
    return Problem(name, of_leaves, leaves, [str(i) for i in floating])
