"""Operations that have GPU kernels here, with their counterparts and costs.

Counterparts are those of CuPy or PyTorch. Shapes are those of networks, with enough
images for a launch to take longer on the device than in Python.
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

    title: str
    shapes: Sequence[tuple[int, ...]]
    costs: Sequence[Cost]
    ours: Callable[..., Any]
    torch: Callable[..., Any] | None = None
    cupyx: Callable[..., Any] | None = None

    def operands(self) -> list[Any]:
        """Return random float32 operands; images, filters and points have norm 1."""
        rng = np.random.default_rng(0)
        operands = []
        for shape in self.shapes:
            rows = rng.standard_normal((shape[0], math.prod(shape[1:])), dtype="float32")
            operands.append((rows / np.linalg.norm(rows, axis=1, keepdims=True)).reshape(shape))
        return operands


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
    return [leaf.grad.data for leaf in leaves if leaf.grad is not None]


def _inverse_root(ops: Any, a: Any) -> Any:
    return ops.inverse_sqrt(ops.matmul(a, a.swapaxes(1, 2)), eps=1e-3)


def _assign(ops: Any, x: Any, scales: Any, centroids: Any) -> Any:
    from tinygrad_ckn.models.clustering.assignment import assign

    # Compare cosines, since either of two equally near centroids may be the nearest.
    return assign(x, scales, centroids)[1]


def operations() -> dict[str, Operation]:
    """Return all operations by title."""
    groups = (_correlations(), _dense_correlations(), _windows(), _network())
    return {operation.title: operation for group in groups for operation in group}


def _correlations() -> list[Operation]:
    c = CHANNELS
    side = SIZE
    out = IMAGE - FILTER + 1
    return [
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
            [(BATCH, c, side, side), (c, 1, 5, 5)],
            [costs.correlate(BATCH, c, c, side, side, 5, 5, side**2)],
            lambda ops, x, w: ops.correlate2d(x, w, groups=len(w), padding="same"),
            lambda torch, x, w: torch.nn.functional.conv2d(x, w, groups=len(w), padding=2),
        ),
    ]


def _dense_correlations() -> list[Operation]:
    c = CHANNELS
    length = SIZE**2
    patched = (UNFOLDED, c, SIZE, SIZE)
    small = (c, c, 3, 3)
    unfold, fold = _patch_costs()
    return [
        Operation(
            "correlate2d, dense 3x3",
            [patched, small],
            [unfold, costs.matmul(UNFOLDED, c, 9 * c, length)],
            lambda ops, x, w: ops.correlate2d(x, w, padding="same"),
            lambda torch, x, w: torch.nn.functional.conv2d(x, w, padding=1),
        ),
        Operation(
            "correlate2d, dense 3x3, input adjoint",
            [patched, small],
            [costs.matmul(UNFOLDED, 9 * c, c, length), fold],
            lambda ops, g, w: ops.correlate2d_input(g, w, input_size=g.shape[2:], padding="same"),
            lambda torch, g, w: torch.nn.grad.conv2d_input(g.shape, w, g, padding=1),
        ),
        Operation(
            "correlate2d, dense 3x3, weight adjoint",
            [patched, patched],
            [
                unfold,
                costs.matmul_each(UNFOLDED, c, length, 9 * c),
                costs.add_up(UNFOLDED, c, 9 * c),
            ],
            lambda ops, x, g: ops.correlate2d_weight(x, g, kernel_size=(3, 3), padding="same"),
            lambda torch, x, g: torch.nn.grad.conv2d_weight(
                x, (g.shape[1], x.shape[1], 3, 3), g, padding=1
            ),
        ),
    ]


def _windows() -> list[Operation]:
    side = SIZE
    maps = (BATCH, CHANNELS, side, side)
    pooled = (BATCH, CHANNELS, side // 2, side // 2)
    pooling_costs = costs.pooling(*maps, *pooled[2:], 2)
    adjoint_costs = costs.pooling_adjoint(*maps, *pooled[2:], 2)
    patched = (UNFOLDED, CHANNELS, side, side)
    unfold, fold = _patch_costs()
    return [
        Operation(
            "unfold 3x3",
            [patched],
            [unfold],
            lambda ops, x: ops.unfold(x, 3, padding=1),
            lambda torch, x: torch.nn.functional.unfold(x, 3, padding=1),
        ),
        Operation(
            "fold 3x3",
            [(UNFOLDED, 9 * CHANNELS, side**2)],
            [fold],
            lambda ops, x: ops.fold(x, _square(x), 3, padding=1),
            lambda torch, x: torch.nn.functional.fold(x, _square(x), 3, padding=1),
        ),
        Operation(
            "Gaussian pooling by 2",
            [maps],
            [pooling_costs],
            lambda ops, x: ops.gaussian_pool2d(x, 2),
        ),
        Operation(
            "Gaussian pooling by 2, adjoint",
            [pooled],
            [adjoint_costs],
            lambda ops, y: ops.gaussian_unpool2d(y, (2 * y.shape[2], 2 * y.shape[3]), 2),
        ),
    ]


def _network() -> list[Operation]:
    c = CHANNELS
    m = UNFOLDED
    half = SIZE // 2
    layer = Layer(m, c, SIZE, c, 3, 2, (1, 0))
    layer_shapes = [(m, c, SIZE, SIZE), (c, c, 3, 3), (c, c)]
    roots = (LAYERS, FILTERS, FILTERS)
    return [
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


def _patch_costs() -> tuple[Cost, Cost]:
    """Return the costs of unfold and fold for 3 x 3 patches."""
    sizes = (UNFOLDED, CHANNELS, SIZE, SIZE, 3, 3, SIZE**2)
    return costs.unfold(*sizes), costs.fold(*sizes)
