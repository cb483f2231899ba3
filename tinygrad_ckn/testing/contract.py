"""What an operation must do besides being right: keep dtypes, mutate nothing, alias nothing, take any layout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tinygrad_ckn.backend import CPU, Generator, default_rng, to_numpy, xp_of
from tinygrad_ckn.backward import backpropagate
from tinygrad_ckn.errors import GradientError
from tinygrad_ckn.tensor import Tensor


def _floating(args: Sequence[Any]) -> list[int]:
    return [i for i, a in enumerate(args) if hasattr(a, "dtype") and a.dtype.kind == "f"]


def _leaf(array: Any) -> Any:
    """Return a leaf on this very memory: a copy would lose its layout."""
    leaf = Tensor.wrap(array)
    leaf.requires_grad = True
    return leaf


def _gradients(
    function: Callable[..., Any], args: Sequence[Any], upstream: Sequence[Any] | None
) -> tuple[Any, ...]:
    """Return outputs, upstream gradients, gradients of the floating arguments, and the arrays these were taken at."""
    points = [_leaf(a) if i in _floating(args) else a for i, a in enumerate(args)]
    result = function(*points)
    outputs = list(result) if isinstance(result, tuple | list) else [result]
    if upstream is None:
        generator = default_rng(1)
        upstream = [
            xp_of(y.data).asarray(generator.standard_normal(y.shape), dtype=y.dtype)
            for y in outputs
        ]
    roots = [(y.vertex, g) for y, g in zip(outputs, upstream, strict=True) if y.requires_grad]
    results = backpropagate(roots)
    leaves = [points[i] for i in _floating(args)]
    return (
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
    """Return the values of x in memory that is neither contiguous nor in order."""
    xp = xp_of(x)
    wide = xp.asarray(generator.standard_normal((*x.shape, 2)), dtype=x.dtype)
    wide[..., 0] = x
    return xp.flip(xp.flip(wide[..., 0]).copy()) if x.ndim else wide[..., 0]


def check_hygiene(function: Callable[..., Any], args: Sequence[Any]) -> None:
    """Check an operation's manners on given arguments; its values and derivatives are for `gradcheck`.

    Checked: neither arguments nor upstream gradients are changed; gradients share no
    memory with each other, with the arguments, or with the upstream gradient; float32
    in gives float32 out and float32 gradients, near those of float64; strided arguments
    give the same result; gradients are linear in the upstream gradient.

    Parameters
    ----------
    function
        Of Tensors, returning a Tensor or a sequence of them.
    args
        Arrays; floating ones are differentiated, others passed as they are.

    Raises
    ------
    GradientError
        That names the function and the argument at fault.

    Examples
    --------
    >>> check_hygiene(ops.multiply, [np.ones(3), np.ones(3)])
    """
    name = getattr(function, "__name__", "function")
    places = _floating(args)
    copies = [a.copy() if hasattr(a, "copy") and hasattr(a, "dtype") else a for a in args]
    outputs, upstream, gradients, points = _gradients(function, args, None)
    kept = [g.copy() for g in upstream]
    _gradients(function, args, upstream)
    for i in places:
        if not bool((args[i] == copies[i]).all()):
            raise GradientError(
                f"{name}: argument {i} expected to be left as it was, got other values"
            )
    if not all(bool((a == b).all()) for a, b in zip(upstream, kept, strict=True)):
        raise GradientError(
            f"{name}: the upstream gradient expected to be left as it was, got other values"
        )

    memory = [to_numpy(a) for a in (*upstream, *points)]
    for i, g in zip(places, gradients, strict=True):
        if g is None:
            continue
        if any(CPU.xp.shares_memory(to_numpy(g), other) for other in memory):
            raise GradientError(
                f"{name}: gradient of argument {i} expected memory of its own, got shared memory"
            )
        memory.append(to_numpy(g))

    generator = default_rng(2)
    strided = [_strided(a, generator) if i in places else a for i, a in enumerate(args)]
    again, _, regraded, _ = _gradients(function, strided, upstream)
    if not all(map(_same, outputs, again)) or not all(map(_same, gradients, regraded)):
        raise GradientError(
            f"{name}: strided arguments expected to give the same results, got others"
        )

    doubled = _gradients(function, args, [2 * g for g in upstream])[2]
    if not all(
        _same(None if g is None else 2 * g, d) for g, d in zip(gradients, doubled, strict=True)
    ):
        raise GradientError(
            f"{name}: gradients expected to be linear in the upstream gradient, got others"
        )
    _check_single(name, function, args, places, upstream, gradients)


def _check_single(
    name: str,
    function: Callable[..., Any],
    args: Sequence[Any],
    places: Sequence[int],
    upstream: Sequence[Any],
    gradients: Sequence[Any],
) -> None:
    """Check that float32 stays float32, and near the result in float64."""
    single = [a.astype("float32") if i in places else a for i, a in enumerate(args)]
    outputs, _, small, _ = _gradients(function, single, [g.astype("float32") for g in upstream])
    for y in outputs:
        if y.dtype != "float32":
            raise GradientError(
                f"{name}: float32 arguments expected a float32 result, got {y.dtype}"
            )
    for k, (g, exact) in enumerate(zip(small, gradients, strict=True)):
        if g is None:
            continue
        scale = float(abs(exact).max()) + 1.0 if exact.size else 1.0
        if g.dtype != "float32" or (exact.size and float(abs(g - exact).max()) > 1e-2 * scale):
            raise GradientError(
                f"{name}: gradient of argument {places[k]} in float32 expected float32 values near those of float64, "
                f"got {g.dtype}, off by {float(abs(g - exact).max()):.1g}"
            )
