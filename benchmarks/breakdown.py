"""Profile of a CKN on one thread.

    python -m benchmarks.breakdown [PRESET] [train|encode]

Functions are replaced by timed ones. A function's time excludes that of other timed
functions that it calls. Products are compared with the rate at which BLAS multiplies a
large square matrix, measured in the same run.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from tinygrad_ckn import Tensor, ops, parallel, set_num_threads
from tinygrad_ckn.cpu import gemm
from tinygrad_ckn.cpu import winograd_filter as winograd
from tinygrad_ckn.cpu.ckn_map import banded, pooling
from tinygrad_ckn.cpu.ckn_map import fused as ckn_map
from tinygrad_ckn.cpu.ckn_map import patch_products as products
from tinygrad_ckn.models import CKN, PRESETS
from tinygrad_ckn.ops.linalg import roots
from tinygrad_ckn.optim import SGD

STEPS = 5
IMAGES = 128
CLOCKS = [
    (
        winograd.Winograd,
        (
            "_windows",
            "transform_images",
            "apply_filters",
            "transform_gradient",
            "add_input_adjoint",
        ),
        "Winograd's tiles",
    ),
    (products._Unfolded, ("_columns", "vjp"), "unfolding and back"),
    (products._Geometry, ("pad",), "borders"),
    (products._Geometry, ("pixel_squares", "patch_sums", "_squares_vjp"), "norms"),
    (products, ("_normalize",), "scaling"),
    (pooling.Pooling, ("weights", "pool", "unpool"), "pooling but for its products"),
    (ckn_map.Map, ("_kappa_vjp",), "scaling"),
    (roots, ("symmetric_eigen", "rotate"), "inverse square root"),
]
PRODUCTS = {
    ckn_map: "transform, pooling",
    pooling: "transform, pooling",
    banded: "pooling, norms",
    products: "unfolded",
    winograd: "Winograd",
}

seconds: defaultdict[str, float] = defaultdict(float)
operations: defaultdict[str, float] = defaultdict(float)
stack: list[float] = []


def clocked(
    function: Callable[..., Any], name: str, count: Callable[..., float] | None = None
) -> Callable[..., Any]:
    """Return a timed function; `count` returns the multiplications and additions of a call."""

    def call(*args: Any, **options: Any) -> Any:
        stack.append(0.0)
        begun = time.perf_counter()
        try:
            return function(*args, **options)
        finally:
            spent = time.perf_counter() - begun
            seconds[name] += spent - stack.pop()
            if stack:
                stack[-1] += spent
            if count is not None:
                operations[name] += count(*args, **options)

    return call


def install(model: CKN) -> None:
    """Replace the functions by timed ones."""
    for module, name in PRODUCTS.items():
        timed = clocked(
            gemm.product, f"products: {name}", lambda a, b, out: 2.0 * out.size * a.shape[-1]
        )
        vars(module)["product"] = timed
    for owner, names, label in CLOCKS:
        for name in names:
            setattr(owner, name, clocked(getattr(owner, name), label))
    for kernel in {id(layer.kernel): layer.kernel for layer in model.layers}.values():
        fused = kernel.fused()
        if fused is not None:
            fused = replace(
                fused,
                value=clocked(fused.value, "kappa"),
                value_and_slope=clocked(fused.value_and_slope, "kappa"),
            )
        vars(kernel)["fused"] = lambda fused=fused: fused


def ceiling() -> float:
    """Return the rate of a large square product, in operations per second."""
    a = np.random.default_rng(0).random((1024, 1024), dtype="float32")
    times = []
    with parallel.one_blas_thread():
        for _ in range(9):
            begun = time.perf_counter()
            a @ a
            times.append(time.perf_counter() - begun)
    return 2 * 1024**3 / statistics.median(times)


def main(preset: str = "ckn5", work: str = "train") -> None:
    """Print the table."""
    set_num_threads(1)
    random = np.random.default_rng(0)
    images = random.random((IMAGES, 3, 32, 32), dtype="float32")
    labels = random.integers(0, 10, IMAGES)
    model = CKN.preset(preset, in_channels=3, image_size=32, n_classes=10, rng=0)
    optimizer = SGD(model.parameters(), lr=0.01, momentum=0.9)

    def train() -> None:
        loss = ops.cross_entropy(model(Tensor(images)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    step = train if work == "train" else lambda: model.encode(images)
    step()
    install(model)
    step = clocked(step, "all else")
    for _ in range(STEPS):
        step()
    total = sum(seconds.values())
    fastest = ceiling()
    print(f"{preset}, {work}, {IMAGES} images, one thread: {total / STEPS * 1e3:.0f} ms a step")
    for name, spent in sorted(seconds.items(), key=lambda item: -item[1]):
        rate = f"{operations[name] / spent / 1e9:6.0f} GFLOP/s" if name in operations else ""
        print(f"{name:30}{spent / STEPS * 1e3:8.1f} ms{100 * spent / total:6.1f} % {rate}")
    spent = sum(seconds[name] for name in operations)
    done = sum(operations.values())
    print(
        f"products: {100 * spent / total:.0f} % at {done / spent / 1e9:.0f} GFLOP/s; "
        f"BLAS's best {fastest / 1e9:.0f}"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument(
        "preset",
        nargs="?",
        default="ckn5",
        choices=[n for n, p in PRESETS.items() if p.model == "CKN"],
    )
    parser.add_argument("work", nargs="?", default="train", choices=["train", "encode"])
    main(**vars(parser.parse_args()))
