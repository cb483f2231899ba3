"""Losses, modules and optimisers against PyTorch: values, gradients, running statistics.

    python -m benchmarks.torch_values

Each row has the largest difference of the forward and of the gradients, in float32 and
float64, relative to the largest value of PyTorch. Needs torch, which the extras do not
have.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tinygrad_ckn import Tensor, nn, ops, optim

torch: Any = None
RNG = np.random.default_rng(0)
# largest relative differences that count as agreement
TOLERANCES = {"float32": 5e-5, "float64": 1e-12}
# name, ours, theirs, arrays whose gradients are compared, arrays or options passed as they are
Row = tuple[str, Callable[..., Any], Callable[..., Any], Sequence[Any]]


def normal(*shape: int) -> np.ndarray[Any, Any]:
    return RNG.normal(size=shape)


def losses() -> Iterator[Row]:
    """Yield the losses, with all reductions and options."""
    f = torch.nn.functional
    labels = np.array([2, 0, 3, 3, 1])
    theirs = torch.tensor(labels)
    of_class = np.array([0.5, 2.0, 1.0, 3.0])
    rows = np.random.default_rng(1).dirichlet(np.ones(4), 5)

    def weight(like: Any) -> Any:
        return torch.tensor(of_class, dtype=like.dtype)

    for reduction in ("mean", "sum", "none"):
        for smoothing in (0.0, 0.1):
            options = {"reduction": reduction, "label_smoothing": smoothing}
            yield (
                f"cross_entropy weight {reduction} {smoothing}",
                lambda x, o=options: ops.cross_entropy(x, labels, weight=of_class, **o),
                lambda x, o=options: f.cross_entropy(x, theirs, weight=weight(x), **o),
                [normal(5, 4)],
            )
            yield (
                f"cross_entropy probabilities {reduction} {smoothing}",
                lambda x, t, o=options: ops.cross_entropy(x, t, weight=of_class, **o),
                lambda x, t, o=options: f.cross_entropy(x, t, weight=weight(x), **o),
                [normal(5, 4), rows],
            )
        yield (
            f"nll weight {reduction}",
            lambda x, r=reduction: ops.nll(x, labels, weight=of_class, reduction=r),
            lambda x, r=reduction: f.nll_loss(x, theirs, weight=weight(x), reduction=r),
            [normal(5, 4)],
        )
        yield (
            f"bce_with_logits weight pos_weight {reduction}",
            lambda x, t, r=reduction: ops.bce_with_logits(
                x, t, weight=of_class, pos_weight=of_class, reduction=r
            ),
            lambda x, t, r=reduction: f.binary_cross_entropy_with_logits(
                x, t, weight=weight(x), pos_weight=weight(x), reduction=r
            ),
            [20 * normal(5, 4), RNG.random((5, 4))],
        )
        yield (
            f"huber 0.7 {reduction}",
            lambda x, t, r=reduction: ops.huber(x, t, delta=0.7, reduction=r),
            lambda x, t, r=reduction: f.huber_loss(x, t, delta=0.7, reduction=r),
            [normal(5, 4), normal(5, 4)],
        )
        yield (
            f"mse {reduction}",
            lambda x, t, r=reduction: ops.mse(x, t, reduction=r),
            lambda x, t, r=reduction: f.mse_loss(x, t, reduction=r),
            [normal(5, 4), normal(5, 4)],
        )
    for reduction in ("mean", "batchmean", "sum", "none"):
        for log_target in (False, True):
            options = {"reduction": reduction, "log_target": log_target}
            yield (
                f"kl_div {reduction}{' log_target' * log_target}",
                lambda x, t, o=options: ops.kl_div(x, t, **o),
                lambda x, t, o=options: f.kl_div(x, t, **o),
                [np.log(rows[::-1]), np.log(rows) if log_target else rows],
            )


def modules() -> Iterator[tuple[str, Any, Any, tuple[int, ...]]]:
    """Yield a name, both modules, and the shape of the input."""
    images = (2, 4, 5, 6)
    upsampling: list[dict[str, Any]] = [
        {},
        {"stride": 2, "padding": 1, "output_padding": 1},
        {"stride": (3, 2), "padding": (0, 2), "output_padding": (2, 0), "dilation": (1, 2)},
        {"groups": 2, "bias": False, "dilation": 2},
    ]
    recurrent: list[dict[str, Any]] = [
        {},
        {"num_layers": 2, "batch_first": True},
        {"bias": False},
    ]
    rows: list[tuple[str, tuple[Any, ...], dict[str, Any], tuple[int, ...]]] = [
        ("BatchNorm1d", (3,), {"momentum": 0.3}, (4, 3)),
        ("BatchNorm1d", (3,), {}, (4, 3, 5)),
        ("BatchNorm2d", (4,), {"eps": 1e-3}, images),
        ("BatchNorm2d", (4,), {"affine": False}, images),
        ("LayerNorm", ((5, 6),), {}, images),
        ("GELU", (), {}, images),
        ("GELU", (), {"approximate": "tanh"}, images),
        ("LeakyReLU", (0.2,), {}, images),
        *(("ConvTranspose2d", (4, 6, (2, 3)), options, images) for options in upsampling),
        *(("LSTM", (3, 5), options, (6, 4, 3)) for options in recurrent),
    ]
    for name, sizes, options, shape in rows:
        make, peer = getattr(nn, name), getattr(torch.nn, name)
        yield f"{name} {shape} {options}", make(*sizes, **options), peer(*sizes, **options), shape


def difference(ours: Any, theirs: Any) -> float:
    """Return the largest difference relative to the largest value of PyTorch."""
    a = np.asarray(ours.numpy() if hasattr(ours, "numpy") else ours)
    b = theirs.detach().numpy()
    if a.shape != b.shape:
        return float("inf")
    return float(abs(a - b).max() / max(abs(b).max(), 1e-300)) if a.size else 0.0


def compare(
    ours: Callable[..., Any], theirs: Callable[..., Any], arrays: Sequence[Any], dtype: str
) -> tuple[float, float]:
    """Return the differences of the forward and of the gradients, for a random cotangent."""
    mine = [Tensor(a.astype(dtype), requires_grad=True) for a in arrays]
    others = [torch.tensor(a.astype(dtype), requires_grad=True) for a in arrays]
    y, z = ours(*mine), theirs(*others)
    forward = difference(y, z)
    u = np.random.default_rng(2).normal(size=y.shape).astype(dtype)
    (y * u).sum().backward()
    (z * torch.tensor(u)).sum().backward()
    return forward, max(difference(m.grad, o.grad) for m, o in zip(mine, others, strict=True))


def compare_module(ours: Any, theirs: Any, shape: tuple[int, ...], dtype: str) -> dict[str, float]:
    """Return the differences in training, of the gradients, the buffers, and in eval mode."""
    # variances are positive; gates that are saturated have no gradient to compare
    low = -0.5 if isinstance(ours, nn.LSTM) else 0.5
    for name, tensor in ours.named_tensors():
        values = RNG.uniform(low, low + 1, tensor.shape).astype(dtype)
        tensor._data = values
        getattr(theirs, name).data = torch.tensor(values)
    x = RNG.normal(size=shape).astype(dtype)
    mine, other = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)

    def outputs(module: Any, given: Any) -> list[Any]:
        y = module(given)
        return [y[0], *y[1]] if isinstance(y, tuple) else [y]

    result = {"forward": 0.0}
    total: Any = 0.0
    theirs_total: Any = 0.0
    ours.zero_grad()
    for y, z in zip(outputs(ours, mine), outputs(theirs, other), strict=True):
        result["forward"] = max(result["forward"], difference(y, z))
        u = RNG.normal(size=y.shape).astype(dtype)
        total, theirs_total = total + (y * u).sum(), theirs_total + (z * torch.tensor(u)).sum()
    total.backward()
    theirs_total.backward()
    result["gradients"] = max(
        difference(mine.grad, other.grad),
        *(difference(p.grad, getattr(theirs, n).grad) for n, p in ours.named_parameters()),
        0.0,
    )
    buffers = [n for n, b in ours.named_tensors() if not isinstance(b, nn.Parameter)]
    if buffers:
        result["buffers"] = max(difference(getattr(ours, n), getattr(theirs, n)) for n in buffers)
        result["eval"] = difference(ours.eval()(mine), theirs.eval()(other))
    return result


def compare_groups(dtype: str) -> float:
    """Return the difference after ten steps of AdamW with two groups."""
    values = [normal(4, 3).astype(dtype), normal(3).astype(dtype)]
    mine = [Tensor(v, requires_grad=True) for v in values]
    other = [torch.tensor(v, requires_grad=True) for v in values]

    def groups(params: Sequence[Any]) -> list[Any]:
        return [{"params": [params[0]]}, {"params": [params[1]], "lr": 0.3, "weight_decay": 0.0}]

    ours = optim.AdamW(groups(mine), lr=0.1, weight_decay=0.5)
    theirs = torch.optim.AdamW(groups(other), lr=0.1, weight_decay=0.5)
    for _ in range(10):
        ours.zero_grad()
        theirs.zero_grad()
        ((mine[0] @ mine[1]) ** 2).sum().backward()
        ((other[0] @ other[1]) ** 2).sum().backward()
        ours.step()
        theirs.step()
    return max(difference(m, o) for m, o in zip(mine, other, strict=True))


def main() -> int:
    """Print the table; return 1 if a row does not agree."""
    global torch  # noqa: PLW0603
    options = argparse.ArgumentParser(
        "python -m benchmarks.torch_values",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.parse_args()
    torch = importlib.import_module("torch")
    print(f"PyTorch {torch.__version__}, NumPy {np.__version__}; largest relative differences")
    failed = 0
    warnings.simplefilter("ignore")
    for dtype, tolerance in TOLERANCES.items():
        rows: list[tuple[str, dict[str, float]]] = []
        for name, one, other, arrays in losses():
            forward, gradients = compare(one, other, arrays, dtype)
            rows.append((name, {"forward": forward, "gradients": gradients}))
        for name, ours, theirs, shape in modules():
            rows.append((name, compare_module(ours, theirs, shape, dtype)))
        rows.append(("AdamW, two groups", {"parameters": compare_groups(dtype)}))
        for name, values in rows:
            wrong = not all(value <= tolerance for value in values.values())
            failed += wrong
            shown = "  ".join(f"{what} {value:.1e}" for what, value in values.items())
            print(f"{dtype}  {name}  {shown}{'  DIFFERS' * wrong}")
    print(f"{failed} rows differ by more than {TOLERANCES}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
