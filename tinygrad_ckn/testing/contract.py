"""The contract of an operation: keep dtypes, mutate nothing, alias nothing, any layout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_ckn.backend import Generator, default_rng, to_numpy, xp_of
from tinygrad_ckn.backward import backpropagate
from tinygrad_ckn.errors import GradientError
from tinygrad_ckn.tensor import Tensor


def _leaf(array: Any) -> Any:
    """Return a leaf that shares the array's memory, and with it the layout."""
    leaf = Tensor.wrap(array)
    leaf.requires_grad = True
    return leaf


class _Result(NamedTuple):
    """Outputs, upstream gradients, gradients and the arrays of the leaves."""

    outputs: list[Any]
    upstream: Sequence[Any]
    gradients: list[Any]
    points: list[Any]


class _Call:
    """An operation with its arguments; the floating ones at `places` are differentiated."""

    def __init__(self, name: str, function: Callable[..., Any], args: Sequence[Any]) -> None:
        self.name = name
        self.function = function
        self.args = args
        self.places = [i for i, a in enumerate(args) if hasattr(a, "dtype") and a.dtype.kind == "f"]

    def gradients(self, args: Sequence[Any], upstream: Sequence[Any] | None = None) -> _Result:
        """Return results and gradients at some arguments; upstream gradients may be drawn."""
        points = [_leaf(a) if i in self.places else a for i, a in enumerate(args)]
        result = self.function(*points)
        outputs = list(result) if isinstance(result, tuple | list) else [result]
        if upstream is None:
            generator = default_rng(1)
            upstream = [
                xp_of(y.data).asarray(generator.standard_normal(y.shape), dtype=y.dtype)
                for y in outputs
            ]
        pairs = zip(outputs, upstream, strict=True)
        results = backpropagate([(y._vertex, g) for y, g in pairs if y.requires_grad])
        leaves = [points[i] for i in self.places]
        return _Result(
            [y.data for y in outputs],
            upstream,
            [results.get(leaf) for leaf in leaves],
            [leaf.data for leaf in leaves],
        )


def _same(a: Any, b: Any) -> bool:
    return (a is None) == (b is None) and (
        a is None or bool((abs(a - b) <= 1e-12 * (1 + abs(a))).all())
    )


def _strided(x: Any, generator: Generator) -> Any:
    """Return a copy of x in memory that is neither contiguous nor in order."""
    xp = xp_of(x)
    wide = xp.asarray(generator.standard_normal((*x.shape, 2)), dtype=x.dtype)
    wide[..., 0] = x
    return xp.flip(xp.flip(wide[..., 0]).copy()) if x.ndim else wide[..., 0]


def check_contract(function: Callable[..., Any], args: Sequence[Any]) -> None:
    """Check that an operation keeps its contract on some arguments.

    Arguments and upstream gradients stay unchanged; gradients share no memory with each
    other, with the arguments or with the upstream gradient; float32 arguments give
    float32 results and gradients close to those of float64; strided arguments give the
    same results; gradients are linear in the upstream gradient. Values and derivatives
    are checked by `gradcheck`.

    Parameters
    ----------
    function
        Takes Tensors and returns a Tensor or a sequence of them.
    args
        Arrays; gradients are taken of the floating ones.

    Raises
    ------
    GradientError
        If a clause is broken; the message names function and argument.

    Examples
    --------
    >>> check_contract(ops.multiply, [np.ones(3), np.ones(3)])
    """
    call = _Call(getattr(function, "__name__", "function"), function, args)
    copies = [a.copy() if hasattr(a, "copy") and hasattr(a, "dtype") else a for a in args]
    result = call.gradients(args)
    upstream = [g.copy() for g in result.upstream]
    call.gradients(args, result.upstream)
    _check_unchanged(call, copies, result, upstream)
    _check_memory(call, result)
    _check_strided(call, result)
    _check_linear(call, result)
    _check_single(call, result)


def _check_unchanged(
    call: _Call, copies: Sequence[Any], result: _Result, upstream: Sequence[Any]
) -> None:
    """Check that neither arguments nor upstream gradients were changed."""
    for i in call.places:
        if not bool((call.args[i] == copies[i]).all()):
            raise GradientError(
                f"{call.name}: argument {i} expected to stay unchanged, got other values"
            )
    if not all(bool((a == b).all()) for a, b in zip(result.upstream, upstream, strict=True)):
        raise GradientError(
            f"{call.name}: the upstream gradient expected to stay unchanged, got other values"
        )


def _check_memory(call: _Call, result: _Result) -> None:
    """Check that gradients share no memory with anything."""
    memory = [to_numpy(a) for a in (*result.upstream, *result.points)]
    for i, g in zip(call.places, result.gradients, strict=True):
        if g is None:
            continue
        if any(np.shares_memory(to_numpy(g), other) for other in memory):
            raise GradientError(
                f"{call.name}: gradient of argument {i} expected memory of its own, "
                "got shared memory"
            )
        memory.append(to_numpy(g))


def _check_strided(call: _Call, result: _Result) -> None:
    """Check that the layout of arguments in memory does not matter."""
    generator = default_rng(2)
    strided = [_strided(a, generator) if i in call.places else a for i, a in enumerate(call.args)]
    other = call.gradients(strided, result.upstream)
    if not all(map(_same, result.outputs, other.outputs)) or not all(
        map(_same, result.gradients, other.gradients)
    ):
        raise GradientError(
            f"{call.name}: strided arguments expected to give the same results, got others"
        )


def _check_linear(call: _Call, result: _Result) -> None:
    """Check that gradients are linear in the upstream gradient."""
    doubled = call.gradients(call.args, [2 * g for g in result.upstream]).gradients
    if not all(
        _same(None if g is None else 2 * g, d)
        for g, d in zip(result.gradients, doubled, strict=True)
    ):
        raise GradientError(
            f"{call.name}: gradients expected to be linear in the upstream gradient, got others"
        )


def _check_single(call: _Call, result: _Result) -> None:
    """Check that float32 arguments give float32 results close to those of float64."""
    args = [a.astype("float32") if i in call.places else a for i, a in enumerate(call.args)]
    single = call.gradients(args, [g.astype("float32") for g in result.upstream])
    for y in single.outputs:
        if y.dtype != "float32":
            raise GradientError(
                f"{call.name}: float32 arguments expected a float32 result, got {y.dtype}"
            )
    for i, g, exact in zip(call.places, single.gradients, result.gradients, strict=True):
        if g is None:
            continue
        scale = float(abs(exact).max()) + 1.0 if exact.size else 1.0
        if g.dtype != "float32" or (exact.size and float(abs(g - exact).max()) > 1e-2 * scale):
            raise GradientError(
                f"{call.name}: gradient of argument {i} in float32 expected float32 values close "
                f"to those of float64, got {g.dtype}, off by {float(abs(g - exact).max()):.1g}"
            )
