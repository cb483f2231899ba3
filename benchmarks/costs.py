"""Bytes and operations of each GPU kernel, by the formulas of docs/gpu.md.

A test compares the two. Each array counts once, as if a cache held all re-read data. A
fused multiply-add counts as two operations, a special function (exp, sqrt, division) as
one. N images, C channels, H x W, kernel kh x kw, L = Ho Wo positions, O or p filters, h
x w pooled, s subsampling, n points, d dimensions, k centroids; kappa and slope:
operations of kappa and of its derivative.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

# bytes of a number, also of an index
FLOAT32 = 4


@dataclass(frozen=True)
class Cost:
    """Elements read and written by one launch, and its operations.

    `product` tells whether it is a matrix product, which tensor cores could compute.
    """

    name: str
    read: float
    written: float
    flops: float
    product: bool = False

    @property
    def bytes(self) -> float:
        """Bytes read and written in float32."""
        return FLOAT32 * (self.read + self.written)


def total_bytes(costs: Iterable[Cost]) -> float:
    return sum(cost.bytes for cost in costs)


def total_flops(costs: Iterable[Cost]) -> float:
    return sum(cost.flops for cost in costs)


def taps(s: float) -> int:
    """Return the maximum number of pixels per axis that a pooled one averages over.

    These are the pixels within s of a centre.
    """
    return math.floor(2 * s) + 1 if s > 1 else 1


def adjoint_taps(s: float) -> int:
    """Return the maximum number of pooled pixels per axis that a pixel contributes to."""
    return 3 if s > 1 else 1


# One function for each row of the table in docs/gpu.md.


def unfold(N: int, C: int, H: int, W: int, kh: int, kw: int, L: int) -> Cost:
    return Cost("unfold", N * C * H * W, N * C * kh * kw * L, 0)


def fold(N: int, C: int, H: int, W: int, kh: int, kw: int, L: int) -> Cost:
    return Cost("fold", N * C * kh * kw * L, N * C * H * W, N * C * kh * kw * L)


def correlate(N: int, C: int, O: int, H: int, W: int, kh: int, kw: int, L: int) -> Cost:  # noqa: E741
    return Cost("correlate", N * C * H * W + O * kh * kw, N * O * L, 2 * N * O * L * kh * kw)


def pooling(N: int, C: int, H: int, W: int, h: int, w: int, s: float) -> Cost:
    return Cost("pooling", N * C * H * W, N * C * h * w, 2 * N * C * (h * W + h * w) * taps(s))


def pooling_adjoint(N: int, C: int, H: int, W: int, h: int, w: int, s: float) -> Cost:
    return Cost(
        "pooling_adjoint",
        N * C * h * w,
        N * C * H * W,
        2 * N * C * (H * w + H * W) * adjoint_taps(s),
    )


def squares(N: int, C: int, H: int, W: int) -> Cost:
    return Cost("squares", N * C * H * W, N * H * W, N * H * W * (2 * C + 8))


def norms(N: int, H: int, W: int, kh: int, kw: int, L: int) -> Cost:
    return Cost("norms", N * H * W, 2 * N * L, N * L * (kh * kw + 2))


def kappa_map(N: int, p: int, L: int, kappa: int) -> Cost:
    return Cost("map", N * p * L + 2 * N * L, N * p * L, N * p * L * (3 + kappa))


def map_vjp(N: int, p: int, L: int, kappa: int, slope: int) -> Cost:
    return Cost(
        "map_vjp", 2 * N * p * L + 2 * N * L, N * p * L + N * L, N * p * L * (9 + kappa + slope)
    )


def add_squares(N: int, C: int, H: int, W: int, kh: int, kw: int, L: int) -> Cost:
    flops = N * H * W * (min(C, 8) * kh * kw + 3 * C)
    return Cost("add_squares", 2 * N * C * H * W + N * L, N * C * H * W, flops)


def nearest(n: int, k: int) -> Cost:
    return Cost("nearest", n * k + n, 2 * n, n * k)


def cluster_sums(n: int, d: int, k: int) -> Cost:
    segments = math.ceil(n / max(2048, math.ceil(n / 64)))
    return Cost(
        "cluster_sums", n * d + (k * math.ceil(d / 128) + 1) * n, segments * k * d, 2 * n * d
    )


def matmul(N: int, m: int, l: int, n: int) -> Cost:  # noqa: E741
    """Return the cost of N products of one m x l matrix with l x n matrices."""
    return Cost("matmul", m * l + N * l * n, N * m * n, 2 * N * m * l * n, product=True)


def matmul_each(N: int, m: int, l: int, n: int) -> Cost:  # noqa: E741
    """Return the cost of N products (m x l) (l x n) with distinct matrices."""
    return Cost("matmul_each", N * (m + n) * l, N * m * n, 2 * N * m * l * n, product=True)


def add_up(N: int, m: int, n: int) -> Cost:
    """Return the cost of the sum of N matrices m x n."""
    return Cost("add_up", N * m * n, m * n, N * m * n)


def copy(m: int, n: int) -> Cost:
    """Return the cost of copying an m x n matrix into another memory order."""
    return Cost("copy", m * n, m * n, 0)


def inverse_root(n: int, p: int) -> Cost:
    """Return the cost of inverse square roots of n matrices p x p.

    Eigenvectors take 9 p^3 by the symmetric QR algorithm (Golub and Van Loan, Matrix
    Computations, section 8.3), and the products 2 p^3.
    """
    return Cost("inverse_root", n * p * p, 2 * n * p * p, 11 * n * p**3)
