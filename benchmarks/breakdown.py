"""Where a training step of ckn5 spends its time, on one thread: `python -m benchmarks.breakdown [PRESET]`.

Functions are wrapped with clocks; a function's time is its own, without that of wrapped ones that it calls. What is
left is everything else: elementwise work on maps, norms, borders, Python. Products are compared with the rate at
which the BLAS library multiplies a large square matrix.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_ckn import Tensor, ops, parallel, set_num_threads
from tinygrad_ckn.cpu import ckn_map, gemm, products, winograd
from tinygrad_ckn.models import CKN
from tinygrad_ckn.ops import linalg
from tinygrad_ckn.optim import SGD

STEPS = 5
seconds: Counter[str] = Counter()
flops: Counter[str] = Counter()
stack: list[float] = []


def clocked(function: Callable[..., Any], name: str, count: Callable[..., float] | None = None) -> Callable[..., Any]:
    """Return the function with a clock; `count` returns the multiplications and additions of a call."""

    def call(*args: Any, **options: Any) -> Any:
        stack.append(0.0)
        before = time.perf_counter()
        try:
            return function(*args, **options)
        finally:
            spent = time.perf_counter() - before
            seconds[name] += spent - stack.pop()
            if stack:
                stack[-1] += spent
            if count is not None:
                flops[name] += count(*args, **options)

    return call


def _operations(a: Any, b: Any, out: Any) -> float:
    return 2.0 * out.size * a.shape[-1]


def _install() -> None:
    inner = gemm.product
    for module, name in ((ckn_map, "pooling, transform"), (products, "unfolded"), (winograd, "Winograd")):
        module.product = clocked(inner, f"products: {name}", _operations)
    for name in ("_windows", "_place", "pulled", "input_adjoint", "transformed", "correlate"):
        setattr(winograd.Winograd, name, clocked(getattr(winograd.Winograd, name), "Winograd: tiles to and fro"))
    products._Unfolded._columns = clocked(products._Unfolded._columns, "unfolding")
    geometry = products._Geometry
    for name, label in (("padded", "borders"), ("squares", "norms"), ("_add_squares_adjoint", "norms")):
        setattr(geometry, name, clocked(getattr(geometry, name), label))
    linalg._eigh = clocked(linalg._eigh, "inverse square root")
    linalg._rotate = clocked(linalg._rotate, "inverse square root")


def _ceiling() -> float:
    """Return the rate of a large square product, GFLOP/s."""
    a = np.random.default_rng(0).random((1024, 1024), dtype="float32")
    with parallel.one_blas_thread():
        times = []
        for _ in range(9):
            before = time.perf_counter()
            a @ a
            times.append(time.perf_counter() - before)
    return 2 * 1024**3 / statistics.median(times) / 1e9


def main(preset: str = "ckn5") -> None:
    """Print the table."""
    set_num_threads(1)
    random = np.random.default_rng(0)
    images = Tensor(random.random((128, 3, 32, 32), dtype="float32"))
    labels = random.integers(0, 10, 128)
    model = CKN.preset(preset, in_channels=3, image_size=32, n_classes=10, rng=0)
    optimizer = SGD(model.parameters(), lr=0.01, momentum=0.9)

    def step() -> None:
        loss = ops.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    step()
    kinds = {id(layer.kernel): layer.kernel for layer in model.layers}.values()
    for kind in kinds:
        fused = kind.fused()
        timed = type(fused)(
            fused.of, clocked(fused.value, "kappa"), clocked(fused.slope, "kappa"), fused.scale, fused.shift
        )
        object.__setattr__(kind, "fused", lambda timed=timed: timed)
    _install()
    whole = clocked(step, "all else")
    for _ in range(STEPS):
        whole()
    total, ceiling = sum(seconds.values()), _ceiling()
    print(f"{preset}, batch 128, one thread, {STEPS} steps: {total / STEPS * 1e3:.0f} ms a step")
    for name, spent in seconds.most_common():
        rate = f"{flops[name] / spent / 1e9:7.1f} GFLOP/s" if flops[name] else ""
        print(f"{name:32}{spent / STEPS * 1e3:8.1f} ms {100 * spent / total:5.1f} % {rate}")
    spent = sum(seconds[name] for name in flops)
    done = sum(flops.values())
    print(f"products together: {100 * spent / total:.0f} % at {done / spent / 1e9:.0f} of {ceiling:.0f} GFLOP/s")


if __name__ == "__main__":
    main(*sys.argv[1:])
