"""Single operations, forward and gradient together, against PyTorch eager.

Shapes are those of networks people write. Each step computes the output and, from a fixed
gradient of it, the gradients of all operands.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.ckn import TUNED
from benchmarks.suite import OURS, Case, Inputs, Settings, Side, Suite, Work

Apply = Callable[..., Any]


@dataclass(frozen=True)
class Operation:
    """An operation on random operands.

    Parameters
    ----------
    title
        Name in the table.
    shapes
        Of the operands.
    ours, torch
        Called with the module `tinygrad_ckn.ops` or `torch`, and the operands.
    definite
        Whether operands are symmetric positive definite matrices.
    """

    title: str
    shapes: Sequence[tuple[int, ...]]
    ours: Apply
    torch: Apply
    definite: bool = False


def _convolutions() -> list[Operation]:
    """Return correlations of the shapes (N, C, H, W) by (O, C / groups, kh, kw)."""
    made: list[tuple[str, tuple[int, ...], tuple[int, ...], dict[str, int]]] = [
        ("conv 3x3, 64 to 64", (64, 64, 32, 32), (64, 64, 3, 3), {"padding": 1}),
        ("conv 3x3, 32 images", (32, 64, 32, 32), (64, 64, 3, 3), {"padding": 1}),
        ("conv 3x3 stride 2", (32, 64, 32, 32), (128, 64, 3, 3), {"padding": 1, "stride": 2}),
        ("conv 5x5", (16, 32, 32, 32), (32, 32, 5, 5), {"padding": 2}),
        ("conv 1x1", (32, 128, 16, 16), (128, 128, 1, 1), {}),
        ("depthwise 3x3", (16, 64, 32, 32), (64, 1, 3, 3), {"padding": 1, "groups": 64}),
        ("depthwise 5x5", (16, 64, 32, 32), (64, 1, 5, 5), {"padding": 2, "groups": 64}),
        ("conv 5x5, 1 to 6", (128, 1, 28, 28), (6, 1, 5, 5), {}),
        ("conv 7x7 stride 2", (1, 3, 224, 224), (64, 3, 7, 7), {"padding": 3, "stride": 2}),
    ]
    return [
        Operation(
            title,
            [x, w],
            functools.partial(_correlate, options=options),
            functools.partial(_conv2d, options=options),
        )
        for title, x, w, options in made
    ]


def _correlate(ops: Any, x: Any, w: Any, *, options: dict[str, int]) -> Any:
    return ops.correlate2d(x, w, **options)


def _conv2d(torch: Any, x: Any, w: Any, *, options: dict[str, int]) -> Any:
    return torch.nn.functional.conv2d(x, w, **options)


def _windows() -> list[Operation]:
    """Return poolings and patches."""
    maps = [(64, 64, 32, 32)]
    return [
        Operation(
            "max pooling 2x2",
            maps,
            lambda ops, x: ops.max_pool2d(x, 2),
            lambda torch, x: torch.nn.functional.max_pool2d(x, 2),
        ),
        Operation(
            "average pooling 2x2",
            maps,
            lambda ops, x: ops.avg_pool2d(x, 2),
            lambda torch, x: torch.nn.functional.avg_pool2d(x, 2),
        ),
        Operation(
            "unfold 3x3",
            [(32, 16, 32, 32)],
            lambda ops, x: ops.unfold(x, 3, padding=1),
            lambda torch, x: torch.nn.functional.unfold(x, 3, padding=1),
        ),
        Operation(
            "Gaussian pooling by 2",
            [(32, 128, 32, 32)],
            lambda ops, x: ops.gaussian_pool2d(x, 2),
            _gaussian_pooling,
        ),
    ]


def _gaussian_pooling(torch: Any, x: Any) -> Any:
    """Return Gaussian pooling by 2 as two depthwise convolutions."""
    weights = torch.exp(-(torch.arange(-2.0, 3.0, dtype=x.dtype) ** 2) / 4)
    weights = (weights / weights.sum()).expand(x.shape[1], 1, 1, 5)
    depthwise = functools.partial(torch.nn.functional.conv2d, groups=x.shape[1])
    rows = depthwise(x, weights, stride=(1, 2), padding=(0, 2))
    return depthwise(rows, weights.mT, stride=(2, 1), padding=(2, 0))


def _elementwise() -> list[Operation]:
    """Return functions of each element, sums, and functions of rows."""
    maps, square, rows = [(64, 64, 32, 32)], [(1000, 1000)], [(4096, 100)]
    return [
        Operation("relu", maps, lambda ops, x: ops.relu(x), lambda torch, x: torch.relu(x)),
        Operation("tanh", square, lambda ops, x: ops.tanh(x), lambda torch, x: torch.tanh(x)),
        Operation("exp", square, lambda ops, x: ops.exp(x), lambda torch, x: torch.exp(x)),
        Operation(
            "add with broadcasting",
            [(1000, 1000), (1000,)],
            lambda _, x, y: x + y,
            lambda _, x, y: x + y,
        ),
        Operation(
            "sum over an axis",
            square,
            lambda ops, x: ops.sum(x, axis=0),
            lambda torch, x: torch.sum(x, 0),
        ),
        Operation(
            "logsumexp",
            rows,
            lambda ops, x: ops.logsumexp(x, axis=1),
            lambda torch, x: torch.logsumexp(x, 1),
        ),
        Operation(
            "softmax",
            rows,
            lambda ops, x: ops.softmax(x, axis=1),
            lambda torch, x: torch.softmax(x, 1),
        ),
    ]


def _matrices() -> list[Operation]:
    """Return products and inverse square roots."""
    products: list[tuple[str, list[tuple[int, ...]]]] = [
        ("matmul 512", [(512, 512), (512, 512)]),
        ("matmul, 64 of 64x64", [(64, 64, 64), (64, 64, 64)]),
    ]
    return [
        *(
            Operation(title, shapes, lambda _, x, y: x @ y, lambda _, x, y: x @ y)
            for title, shapes in products
        ),
        *(
            Operation(
                f"inverse square root {n}",
                [(n, n)],
                lambda ops, x: ops.inverse_sqrt(x),
                _inverse_sqrt,
                definite=True,
            )
            for n in (128, 512)
        ),
    ]


def _sum(_: Any, x: Any, y: Any) -> Any:
    return x + y


def _product(_: Any, x: Any, y: Any) -> Any:
    return x @ y


def _inverse_sqrt(torch: Any, x: Any) -> Any:
    """Return the inverse square root of a symmetric matrix by its eigenvectors."""
    values, vectors = torch.linalg.eigh(x)
    return (vectors * values**-0.5) @ vectors.T


OPERATIONS = (*_convolutions(), *_windows(), *_elementwise(), *_matrices())


def _inputs(title: str, dtype: str) -> Inputs:
    """Return the operands, and a gradient of the output."""
    from tinygrad_ckn import ops

    operation = _named(title)
    rng = np.random.default_rng(0)
    operands = []
    for shape in operation.shapes:
        array = rng.standard_normal(shape)
        if operation.definite:
            n = shape[0]
            array = array @ array.T / n + np.eye(n)
        elif len(shape) == 4 and len(operation.shapes) == 2:
            # So that sums over a filter are about 1.
            array /= math.sqrt(math.sqrt(math.prod(operation.shapes[1][1:])))
        operands.append(array.astype(dtype))
    shape = operation.ours(ops, *operands).shape
    return {"operands": operands, "gradient": rng.standard_normal(shape).astype(dtype)}


def _named(title: str) -> Operation:
    """Return an operation by its title."""
    return next(operation for operation in OPERATIONS if operation.title == title)


def _ours(inputs: Inputs, device: str, *, title: str, dtype: str | None = None) -> Work:
    """Return the step of this library."""
    from tinygrad_ckn import Tensor, grad, ops

    apply = _named(title).ours
    arrays = [a.astype(dtype or a.dtype) for a in inputs["operands"]]
    operands = [Tensor(array, requires_grad=True) for array in arrays]
    above = Tensor(inputs["gradient"].astype(arrays[0].dtype))

    def step() -> tuple[Any, ...]:
        output = apply(ops, *operands)
        return output, *grad(output, operands, gradient=above)

    def outputs() -> dict[str, Any]:
        output, *gradients = (tensor.numpy() for tensor in step())
        return {"output": output, "gradients": gradients}

    return Work(step, outputs)


def _torch(inputs: Inputs, device: str, *, title: str) -> Work:
    """Return the step of PyTorch."""
    import torch

    apply = _named(title).torch
    operands = [torch.from_numpy(array).requires_grad_() for array in inputs["operands"]]
    above = torch.from_numpy(inputs["gradient"])

    def step() -> tuple[Any, ...]:
        output = apply(torch, *operands)
        return output, *torch.autograd.grad(output, operands, above)

    def outputs() -> dict[str, Any]:
        output, *gradients = (tensor.detach().numpy() for tensor in step())
        return {"output": output, "gradients": gradients}

    return Work(step, outputs)


def _case(operation: Operation, dtype: str) -> Case:
    options = {"title": operation.title}
    tolerance = 1e-4 if dtype == "float32" else 1e-11
    if operation.definite:
        # PyTorch divides by differences of eigenvalues.
        tolerance *= 10
    return Case(
        operation.title,
        [
            Side(OURS, _ours, options, ("tinygrad_ckn",)),
            Side(TUNED, _torch, options, ("torch",), tuned_malloc=True),
        ],
        functools.partial(_inputs, operation.title, dtype),
        tolerances={"output": tolerance, "gradients": tolerance},
        reference=Side("ours in float64", _ours, {**options, "dtype": "float64"}),
        targets={TUNED: 1.0},
        mean_targets={TUNED: 0.8},
        rounds=10,
        steps=5,
        warm_up=3,
        group=f"forward and gradient, {dtype}",
    )


def _cases(_: Settings) -> Sequence[Case]:
    return [_case(operation, dtype) for dtype in ("float32", "float64") for operation in OPERATIONS]


SUITE = Suite(
    "operations",
    f"{len(OPERATIONS)} single operations, forward and gradient, against PyTorch eager",
    _cases,
)
