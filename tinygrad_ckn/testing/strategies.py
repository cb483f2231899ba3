"""Hypothesis strategies for arrays and arguments, degenerate ones included.

Hypothesis draws and shrinks shapes, options and a seed, which determines the values.
Needs the extra `[test]`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from hypothesis import strategies as st

from tinygrad_ckn.backend import Generator, NDArray, default_rng
from tinygrad_ckn.tensor import Tensor

T = TypeVar("T")
Strategy = st.SearchStrategy[Any]
_seeds = st.integers(0, 2**32 - 1)


def _drawn(make: Callable[[st.DrawFn, Generator], T]) -> Strategy:
    """Return a strategy of make(draw, generator)."""

    @st.composite
    def strategy(draw: st.DrawFn) -> T:
        return make(draw, default_rng(draw(_seeds)))

    return strategy()


def _sizes(draw: st.DrawFn, shape: tuple[int | Strategy, ...]) -> tuple[int, ...]:
    return tuple(n if isinstance(n, int) else draw(n) for n in shape)


def arrays(
    *shape: int | Strategy,
    low: float = -2.0,
    high: float = 2.0,
    distinct: bool = False,
    gap: float = 0.0,
) -> Strategy:
    """Draw float64 arrays, uniform in [low, high).

    Parameters
    ----------
    shape
        Sizes, or strategies of sizes.
    distinct
        Keep all elements at least (high - low) / (2 size) apart, for functions with a
        kink at equal elements; default False.
    gap
        Minimum distance of elements from 0, for functions with a kink or a pole there;
        default 0.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(arrays(2, st.integers(1, 3)), lambda x: x.shape == (2, 3)).shape
    (2, 3)
    """

    def make(draw: st.DrawFn, random: Generator) -> NDArray[Any]:
        sizes = _sizes(draw, shape)
        if not distinct:
            x = random.uniform(low, high, sizes)
        else:
            count = np.prod(sizes, dtype=int)
            places = random.permutation(count) + random.uniform(0.25, 0.75, count)
            x = low + (high - low) * (places / max(1, count)).reshape(sizes)
        return np.where(abs(x) < gap, np.where(x < 0, -gap, gap) + x, x)

    return _drawn(make)


def integers_in(*shape: int | Strategy, below: int) -> Strategy:
    """Draw integer arrays with values 0 .. below - 1: labels, indices.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(integers_in(3, below=2), lambda x: x.sum() == 3).tolist()
    [1, 1, 1]
    """
    return _drawn(lambda draw, random: random.integers(0, below, _sizes(draw, shape)))


def tensors(*shape: int | Strategy, **options: Any) -> Strategy:
    """Draw Tensors that require grad; options as for `arrays`.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(tensors(2), lambda t: t.requires_grad).shape
    (2,)
    """
    return arrays(*shape, **options).map(lambda x: Tensor(x, requires_grad=True))


def spd_matrices(
    *batch: int | Strategy,
    n: int | Strategy = 4,
    minimum: float = 0.1,
    spectra: Strategy | None = None,
) -> Strategy:
    """Draw symmetric positive definite matrices (*batch, n, n), spectra in [minimum, 2].

    Parameters
    ----------
    spectra
        Some of "random", "equal" (all eigenvalues equal), "pairs" (each twice) and "tiny"
        (the smallest is `minimum` times 1e-3); default: all of them.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(spd_matrices(n=3), lambda a: True).shape
    (3, 3)
    """
    kinds = st.sampled_from(["random", "equal", "pairs", "tiny"]) if spectra is None else spectra

    def make(draw: st.DrawFn, random: Generator) -> NDArray[Any]:
        size = n if isinstance(n, int) else draw(n)
        shape = _sizes(draw, batch)
        kind = draw(kinds)
        w = random.uniform(minimum, 2.0, (*shape, size))
        if kind == "equal":
            w = w[..., :1] + np.zeros(size)
        elif kind == "pairs":
            w = np.repeat(w, 2, axis=-1)[..., :size]
        elif kind == "tiny":
            w[..., 0] = minimum * 1e-3
        q = np.linalg.qr(random.standard_normal((*shape, size, size)))[0]
        a = (q * w[..., None, :]) @ q.swapaxes(-1, -2)
        symmetric: NDArray[Any] = 0.5 * (a + a.swapaxes(-1, -2))
        return symmetric

    return _drawn(make)


def spread_matrices(rows: int | Strategy, columns: int | None = None, *batch: int) -> Strategy:
    """Draw matrices (*batch, rows, columns) whose singular values are 0.5 or more apart.

    Without `columns` they are symmetric positive definite.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(spread_matrices(3, 2), lambda a: True).shape
    (3, 2)
    """

    def make(draw: st.DrawFn, random: Generator) -> NDArray[Any]:
        m = rows if isinstance(rows, int) else draw(rows)
        n = m if columns is None else columns
        u, v = (np.linalg.qr(random.standard_normal((*batch, k, k)))[0] for k in (m, n))
        k = min(m, n)
        s = np.arange(1.0, k + 1) + random.uniform(-0.25, 0.25, (*batch, k))
        other = u if columns is None else v
        a: NDArray[Any] = (u[..., :k] * s[..., None, :]) @ other[..., :k].swapaxes(-1, -2)
        return 0.5 * (a + a.swapaxes(-1, -2)) if columns is None else a

    return _drawn(make)


def unit_sphere(rows: int | Strategy, columns: int | Strategy) -> Strategy:
    """Draw matrices with rows of norm 1.

    Examples
    --------
    >>> from hypothesis import find
    >>> bool(np.allclose((find(unit_sphere(2, 3), lambda z: True) ** 2).sum(axis=1), 1))
    True
    """

    def make(draw: st.DrawFn, random: Generator) -> NDArray[Any]:
        z = random.standard_normal(_sizes(draw, (rows, columns)))
        rows_of_norm_1: NDArray[Any] = z / np.linalg.norm(z, axis=1, keepdims=True)
        return rows_of_norm_1

    return _drawn(make)


def near_duplicate_filters(rows: int, columns: int, distance: float = 1e-4) -> Strategy:
    """Draw filters on the sphere, the last one close to the first.

    Examples
    --------
    >>> from hypothesis import find
    >>> z = find(near_duplicate_filters(3, 4), lambda z: True)
    >>> bool(0.9e-4 < np.linalg.norm(z[0] - z[-1]) < 1.1e-4)
    True
    """

    def make(draw: st.DrawFn, random: Generator) -> NDArray[Any]:
        *rows_drawn, step = random.standard_normal((rows + 1, columns))
        z: NDArray[Any] = np.asarray(rows_drawn)
        z = z / np.linalg.norm(z, axis=1, keepdims=True)
        step -= (step @ z[0]) * z[0]
        z[-1] = z[0] + distance * step / np.linalg.norm(step)
        z[-1] /= np.linalg.norm(z[-1])
        return z

    return _drawn(make)


def patches_with_zero_norm(count: int, size: int) -> Strategy:
    """Draw patches as rows, some of them zero vectors.

    Examples
    --------
    >>> from hypothesis import find
    >>> x = find(patches_with_zero_norm(4, 3), lambda x: True)
    >>> bool((x == 0).all(axis=1).any())
    True
    """

    def make(draw: st.DrawFn, random: Generator) -> NDArray[Any]:
        x = random.uniform(-2, 2, (count, size))
        x[random.integers(0, count)] = 0
        x[random.random(count) < 0.25] = 0
        return x

    return _drawn(make)


def conv_args(max_size: int = 7) -> Strategy:
    """Draw arguments (x, w, options) of `ops.correlate2d`, all of its options included.

    Examples
    --------
    >>> from hypothesis import find
    >>> x, w, options = find(conv_args(), lambda a: a[2]["groups"] == 2)
    >>> x.shape[1] == 2 * w.shape[1]
    True
    """

    def make(
        draw: st.DrawFn, random: Generator
    ) -> tuple[NDArray[Any], NDArray[Any], dict[str, Any]]:
        pairs = st.tuples(st.integers(1, 2), st.integers(1, 2))
        groups = draw(st.integers(1, 2))
        dilation = draw(pairs)
        stride = draw(pairs)
        kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
        words = st.sampled_from(["valid", "same", "full"])
        padding = draw(
            st.one_of(words, st.integers(0, 2), st.tuples(st.integers(0, 2), st.integers(0, 2)))
        )
        minimum = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
        size = [draw(st.integers(n, max(n, max_size))) for n in minimum]
        channels = draw(st.integers(1, 2))
        x = random.standard_normal((draw(st.integers(1, 2)), channels * groups, *size))
        w = random.standard_normal((groups * draw(st.integers(1, 2)), channels, *kernel))
        return x, w, {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}

    return _drawn(make)
