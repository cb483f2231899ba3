"""Operations with GPU kernels of ours, with their counterparts in CuPy or PyTorch, and costs.

Shapes are those of networks, with enough images for a launch to take longer on the
device than in Python.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks import costs
from benchmarks.costs import Cost
from benchmarks.layers import Layer

# sides of the large image, and of its filter
IMAGE = 4096
FILTER = 10
# size of maps
BATCH = 512
CHANNELS = 64
SIZE = 32
# images for unfolded patches, which take nine times the memory
UNFOLDED = 128
POINTS = 200_000
CENTROIDS = 256
# layers of ckn5, whose inverse roots are computed together
FILTERS = 128
LAYERS = 5


@dataclass(frozen=True)
class Operation:
    """A case.

    Parameters
    ----------
    title
        Name in the table.
    shapes
        Shapes of the operands.
    costs
        Launches of our side.
    ours, torch, cupyx
        Called with the module `tinygrad_ckn.ops`, `torch` or `cupyx.scipy.signal`, and
        the operands; None: no counterpart.
    """

    about: str
    shapes: Sequence[tuple[int, ...]]
    costs: Sequence[Cost]
    ours: Callable[..., Any]
    torch: Callable[..., Any] | None = None
    cupyx: Callable[..., Any] | None = None

    def operands(self) -> list[Any]:
        """Return random float32 operands; images, filters and points have norm 1."""
        rng = np.random.default_rng(0)
        found = []
        for shape in self.shapes:
            rows = rng.standard_normal((shape[0], math.prod(shape[1:])), dtype="float32")
            found.append((rows / np.linalg.norm(rows, axis=1, keepdims=True)).reshape(shape))
        return found


def _square(columns: Any) -> tuple[int, int]:
    """Return the size of square images, given their patches at each pixel."""
    side = math.isqrt(columns.shape[2])
    return side, side


def _map(ops: Any, x: Any, z: Any, transform: Any) -> Any:
    from tinygrad_ckn.models.kernels import Exponential

    return ops.ckn_map(x, z, Exponential(0.5).fused(), transform, subsampling=2)


def _map_and_gradient(ops: Any, *operands: Any) -> list[Any]:
    from tinygrad_ckn.graph import Variable

    *points, above = operands
    leaves = [Variable.leaf(array) for array in points]
    _map(ops, *leaves).backward(above)
    return [leaf.grad.data for leaf in leaves]


def _inverse_root(ops: Any, a: Any) -> Any:
    return ops.inverse_sqrt(ops.matmul(a, a.swapaxes(1, 2)), eps=1e-3)


def _assign(ops: Any, x: Any, scales: Any, centroids: Any) -> Any:
    from tinygrad_ckn.models.clustering.assignment import assign

    return assign(x, scales, centroids)[
        1
    ]  # cosines: of two centroids that are equally near, either may be the nearest


def operations() -> dict[str, Operation]:
    """Return all, by name."""
    n = BATCH
    m = UNFOLDED
    c = CHANNELS
    side = SIZE
    half = side // 2
    length = side**2
    out = IMAGE - FILTER + 1
    maps = (n, c, side, side)
    patched = (m, c, side, side)
    pooled = (n, c, half, half)
    small = (c, c, 3, 3)
    columns = (m, 9 * c, length)
    roots = (LAYERS, FILTERS, FILTERS)
    unfold, fold = (make(m, c, side, side, 3, 3, length) for make in (costs.unfold, costs.fold))
    pooling, adjoint = (
        make(n, c, side, side, half, half, 2) for make in (costs.pooling, costs.pooling_adjoint)
    )
    layer = Layer(m, c, side, c, 3, 2, (1, 0))
    layer_shapes = [patched, small, (c, c)]
    listed = [
        Operation(
            f"correlate2d, {IMAGE}x{IMAGE} by {FILTER}x{FILTER}",
            [(IMAGE, IMAGE), (FILTER, FILTER)],
            [costs.correlate(1, 1, 1, IMAGE, IMAGE, FILTER, FILTER, out**2)],
            lambda ops, x, w: ops.correlate2d(x, w, padding="valid"),
            lambda torch, x, w: torch.nn.functional.conv2d(x[None, None], w[None, None])[0, 0],
            lambda signal, x, w: signal.correlate2d(x, w, mode="valid"),
        ),
        Operation(
            "correlate2d, depthwise 5x5",
            [maps, (c, 1, 5, 5)],
            [costs.correlate(n, c, c, side, side, 5, 5, length)],
            lambda ops, x, w: ops.correlate2d(x, w, groups=len(w), padding="same"),
            lambda torch, x, w: torch.nn.functional.conv2d(x, w, groups=len(w), padding=2),
        ),
        Operation(
            "correlate2d, dense 3x3",
            [patched, small],
            [unfold, costs.matmul(m, c, 9 * c, length)],
            lambda ops, x, w: ops.correlate2d(x, w, padding="same"),
            lambda torch, x, w: torch.nn.functional.conv2d(x, w, padding=1),
        ),
        Operation(
            "correlate2d, dense 3x3, input adjoint",
            [patched, small],
            [costs.matmul(m, 9 * c, c, length), fold],
            lambda ops, g, w: ops.correlate2d_input(g, w, input_size=g.shape[2:], padding="same"),
            lambda torch, g, w: torch.nn.grad.conv2d_input(g.shape, w, g, padding=1),
        ),
        Operation(
            "correlate2d, dense 3x3, weight adjoint",
            [patched, patched],
            [unfold, costs.matmul_each(m, c, length, 9 * c), costs.add_up(m, c, 9 * c)],
            lambda ops, x, g: ops.correlate2d_weight(x, g, kernel_size=(3, 3), padding="same"),
            lambda torch, x, g: torch.nn.grad.conv2d_weight(
                x, (g.shape[1], x.shape[1], 3, 3), g, padding=1
            ),
        ),
        Operation(
            "unfold 3x3",
            [patched],
            [unfold],
            lambda ops, x: ops.unfold(x, 3, padding=1),
            lambda torch, x: torch.nn.functional.unfold(x, 3, padding=1),
        ),
        Operation(
            "fold 3x3",
            [columns],
            [fold],
            lambda ops, x: ops.fold(x, _square(x), 3, padding=1),
            lambda torch, x: torch.nn.functional.fold(x, _square(x), 3, padding=1),
        ),
        Operation(
            "Gaussian pooling by 2", [maps], [pooling], lambda ops, x: ops.gaussian_pool2d(x, 2)
        ),
        Operation(
            "Gaussian pooling by 2, adjoint",
            [pooled],
            [adjoint],
            lambda ops, y: ops.gaussian_unpool2d(y, (2 * y.shape[2], 2 * y.shape[3]), 2),
        ),
        Operation("CKN map", layer_shapes, list(layer.forward()), _map),
        Operation(
            "CKN map and gradient",
            [*layer_shapes, (m, c, half, half)],
            [*layer.forward(), *layer.backward(of_images=True)],
            _map_and_gradient,
        ),
        Operation(
            f"inverse square roots, {LAYERS} of {FILTERS}x{FILTERS}",
            [roots],
            [costs.matmul(LAYERS, *roots[1:], FILTERS), costs.inverse_root(LAYERS, FILTERS)],
            _inverse_root,
        ),
        Operation(
            f"k-means, a pass, {POINTS:,} x {c} to {CENTROIDS}",
            [(POINTS, c), (POINTS,), (CENTROIDS, c)],
            [
                costs.matmul(1, POINTS, c, CENTROIDS),
                costs.nearest(POINTS, CENTROIDS),
                costs.cluster_sums(POINTS, c, CENTROIDS),
            ],
            _assign,
        ),
    ]
    return {operation.about: operation for operation in listed}
