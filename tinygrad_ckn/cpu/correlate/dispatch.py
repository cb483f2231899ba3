"""correlate2d on the CPU: chooses the fastest of several algorithms for each call.

All algorithms give the same results. `COSTS` estimates their times from the shapes; its
coefficients are fitted to times on two cores with AVX-512 in float32. `tinygrad-ckn
bench correlate2d` measures all algorithms over a grid of shapes, on any machine.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tinygrad_ckn.backend import Namespace
from tinygrad_ckn.checks import one_of
from tinygrad_ckn.cpu.correlate import direct, fft, toeplitz, unfold, winograd
from tinygrad_ckn.cpu.correlate.regions import adjoint_shapes
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.ops.correlate import (
    as_batch,
    check_forward,
    check_input_adjoint,
    check_weight_adjoint,
    correlate2d,
    correlate2d_input,
    correlate2d_weight,
)
from tinygrad_ckn.windows import Correlation, Padding, Pair, Windows


def _area(size: tuple[int, int]) -> int:
    return size[0] * size[1]


def _unfold_cost(s: Correlation) -> float:
    per_filter = s.n * _area(s.out)
    # elements that are copied and multiplied
    unfolded = per_filter * s.channels * _area(s.windows.kernel)
    # Short rows cost more.
    copied = 0.2e-3 + 4e-3 / s.out[1]
    per_element = copied + 0.0105e-3 * s.filters / s.groups
    return 90 + unfolded * per_element + per_filter * s.filters * 0.25e-3


def _winograd_cost(s: Correlation) -> float:
    m = winograd.choose_m(s)
    tiles = s.n * -(-s.out[0] // m) * -(-s.out[1] // m) * (m + 2) ** 2 / 36
    return 300 + tiles * (
        0.1 + 33e-3 * s.channels + 23e-3 * s.filters + 0.4e-3 * s.channels * s.filters
    )


def _toeplitz_cost(s: Correlation) -> float:
    c, m, n, o, r, w = toeplitz.banded_shape(s)
    windows = s.n * -(-s.out[0] // r) * -(-s.out[1] // w)
    return (
        60
        + 60 * s.n
        + windows * (c * m * n * (0.55e-3 + 0.0105e-3 * o * r * w) + 0.5e-3 * o * r * w)
    )


def _fft_cost(s: Correlation) -> float:
    high, wide = fft.outputs_per_tile(s)
    tiles = s.n * -(-s.out[0] // high) * -(-s.out[1] // wide)
    pairs = s.filters * s.w_shape[1]
    area = _area(fft.tile_size(s))
    per_tile = (
        30 + 20 * s.filters + 3 * pairs + area * (1e-3 * (s.channels + s.filters) + 0.5e-3 * pairs)
    )
    return 100 + pairs * area * 3e-3 + tiles * per_tile


def _direct_cost(s: Correlation) -> float:
    o, c, kh, kw = s.w_shape
    tiles = max(s.n, s.n * _area(s.out) * (s.channels + 2 * o) // 2**19)
    per_pixel = 0.085e-3 * o + 0.04e-3 * s.channels + 0.0115e-3 * o * c
    return 40 + kh * kw * (10 * tiles + s.n * _area(s.out) * per_pixel)


# Estimates in microseconds: a constant, and the cost of each element that is copied,
# multiplied, transformed or added.
COSTS: dict[str, Callable[[Correlation], float]] = {
    "unfold": _unfold_cost,
    "winograd": _winograd_cost,
    "toeplitz": _toeplitz_cost,
    "fft": _fft_cost,
    "direct": _direct_cost,
}


# of two 4-d arrays and the shapes of the correlation, as in the modules of the algorithms
Compute: TypeAlias = Callable[[NDArray[Any], NDArray[Any], Correlation], NDArray[Any]]
# a sentence on the requirements that shapes and dtype do not meet; empty: they meet all
Requirements: TypeAlias = Callable[[Correlation, np.dtype[Any]], str]


def _no_requirements(shapes: Correlation, dtype: np.dtype[Any]) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Algorithm:
    """An algorithm of correlate2d: the forward, its two adjoints, and its requirements."""

    forward: Compute
    input_adjoint: Compute
    weight_adjoint: Compute
    missing_requirements: Requirements


class _Module(Protocol):
    @property
    def forward(self) -> Compute: ...
    @property
    def input_adjoint(self) -> Compute: ...
    @property
    def weight_adjoint(self) -> Compute: ...


def _winograd_requirements(shapes: Correlation, dtype: np.dtype[Any]) -> str:
    windows = shapes.windows
    fits = (
        windows.kernel == (3, 3)
        and windows.stride == windows.dilation == (1, 1)
        and shapes.groups == 1
    )
    return (
        ""
        if fits and dtype.itemsize in (4, 8)
        else "3 x 3 filters, stride 1, dilation 1, groups 1 and float32 or float64"
    )


def _toeplitz_requirements(shapes: Correlation, dtype: np.dtype[Any]) -> str:
    fits = shapes.windows.stride == shapes.windows.dilation == (1, 1) and shapes.groups == 1
    return "" if fits else "stride 1, dilation 1 and groups 1"


def _fft_requirements(shapes: Correlation, dtype: np.dtype[Any]) -> str:
    fits = shapes.windows.stride == (1, 1) and dtype.itemsize in (4, 8)
    return "" if fits else "stride 1 and float32 or float64"


def _from_module(
    module: _Module, missing_requirements: Requirements = _no_requirements
) -> Algorithm:
    return Algorithm(
        module.forward, module.input_adjoint, module.weight_adjoint, missing_requirements
    )


ALGORITHMS: dict[str, Algorithm] = {
    "unfold": _from_module(unfold),
    "winograd": _from_module(winograd, _winograd_requirements),
    "toeplitz": _from_module(toeplitz, _toeplitz_requirements),
    "fft": _from_module(fft, _fft_requirements),
    "direct": _from_module(direct),
}


def _supported(shapes: Correlation, dtype: np.dtype[Any]) -> tuple[str, ...]:
    return tuple(
        name
        for name, algorithm in ALGORITHMS.items()
        if not algorithm.missing_requirements(shapes, dtype)
    )


def algorithms_for(
    x_shape: Sequence[int],
    w_shape: Sequence[int],
    dtype: DTypeLike = "float32",
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> tuple[str, ...]:
    """Return the names of the algorithms that support a correlation.

    Parameters
    ----------
    x_shape
        (N, C, H, W), shape of the images.
    w_shape
        (O, C/groups, kh, kw), shape of the filters.
    dtype
        Of both.
    stride, padding, dilation, groups
        As in `ops.correlate2d`.

    Examples
    --------
    >>> algorithms_for((1, 3, 32, 32), (8, 3, 5, 5), stride=2)
    ('unfold', 'direct')
    """
    windows = Windows.of("algorithms_for", w_shape[2:], stride, padding, dilation)
    n, c, height, width = x_shape
    shapes = Correlation(n, c, (height, width), w_shape[0], groups, windows)
    return _supported(shapes, np.dtype(dtype))


@functools.lru_cache(maxsize=1024)
def cheapest(shapes: Correlation, dtype: np.dtype[Any]) -> str:
    """Return the name of the algorithm with the lowest estimated time: "auto"."""
    return min(_supported(shapes, dtype), key=lambda name: COSTS[name](shapes))


def _algorithm(op: str, name: str, shapes: Correlation, dtype: np.dtype[Any]) -> Algorithm:
    if name == "auto":
        return ALGORITHMS[cheapest(shapes, dtype)]
    one_of(op, ("auto", *ALGORITHMS), algorithm=name)
    requirements = ALGORITHMS[name].missing_requirements(shapes, dtype)
    if requirements:
        windows = shapes.windows
        raise ConfigError(
            f"{op}: algorithm {name!r} needs {requirements}, got filters {windows.kernel}, "
            f"stride {windows.stride}, dilation {windows.dilation}, groups {shapes.groups} "
            f"and {dtype}; use algorithm='auto'"
        )
    return ALGORITHMS[name]


def _in_common_dtype(a: NDArray[Any], b: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return two arrays in the dtype of their product."""
    dtype = np.result_type(a, b)
    return a.astype(dtype, copy=False), b.astype(dtype, copy=False)


@correlate2d.kernel("cpu")
def _correlate2d(
    xp: Namespace,
    x: NDArray[Any],
    w: NDArray[Any],
    bias: NDArray[Any] | None = None,
    *,
    algorithm: str = "auto",
    **geometry: Any,
) -> NDArray[Any]:
    flat = x.ndim == w.ndim == 2
    x, w = (as_batch(x), as_batch(w)) if flat else (x, w)
    shapes = check_forward(x, w, bias, **geometry)
    x, w = _in_common_dtype(x, w)
    y = _algorithm("correlate2d", algorithm, shapes, x.dtype).forward(x, w, shapes)
    if bias is not None:
        y = np.add(y, bias.reshape(-1, 1, 1), out=y if np.result_type(y, bias) == y.dtype else None)
    return y[0, 0] if flat else y


@correlate2d_input.kernel("cpu")
def _correlate2d_input(
    xp: Namespace,
    cotangent: NDArray[Any],
    w: NDArray[Any],
    *,
    input_size: Pair,
    algorithm: str = "auto",
    **geometry: Any,
) -> NDArray[Any]:
    flat = cotangent.ndim == w.ndim == 2
    cotangent, w = (as_batch(cotangent), as_batch(w)) if flat else (cotangent, w)
    shapes = check_input_adjoint(cotangent, w, input_size, **geometry)
    cotangent, w = _in_common_dtype(cotangent, w)
    if algorithm == "auto":
        # The adjoint is usually computed as a correlation itself, of other shapes.
        algorithm = cheapest(
            adjoint_shapes(shapes) if unfold.uses_flipped_filters(shapes) else shapes, w.dtype
        )
    x = _algorithm("correlate2d_input", algorithm, shapes, w.dtype).input_adjoint(
        cotangent, w, shapes
    )
    return x[0, 0] if flat else x


@correlate2d_weight.kernel("cpu")
def _correlate2d_weight(
    xp: Namespace,
    x: NDArray[Any],
    cotangent: NDArray[Any],
    *,
    kernel_size: Pair,
    algorithm: str = "auto",
    **geometry: Any,
) -> NDArray[Any]:
    flat = x.ndim == cotangent.ndim == 2
    x, cotangent = (as_batch(x), as_batch(cotangent)) if flat else (x, cotangent)
    shapes = check_weight_adjoint(x, cotangent, kernel_size, **geometry)
    x, cotangent = _in_common_dtype(x, cotangent)
    w = _algorithm("correlate2d_weight", algorithm, shapes, x.dtype).weight_adjoint(
        x, cotangent, shapes
    )
    return w[0, 0] if flat else w
