"""One large image against peers, and the library's algorithms against each other by shape.

The large case is 5000 x 5000 by 10 x 10.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.ckn import EAGER, TUNED
from benchmarks.suite import OURS, Case, Inputs, LeftOutError, Settings, Side, Suite, Work
from benchmarks.worker import MACHINE, memory

SCIPY = "scipy.signal.correlate2d"
# Algorithms that take ten times as long as others, and minutes in total, for more pairs
# of a filter and a channel.
SLOW_ALGORITHMS = ("fft", "toeplitz")
PAIRS = 512
# (N, C, H, W), (O, C/groups, kh, kw), options: shapes between which the best algorithm
# changes. Padding is "same".
SHAPES: tuple[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]], ...] = (
    ((1, 1, 1024, 1024), (1, 1, 3, 3), {}),
    ((1, 1, 1024, 1024), (1, 1, 5, 5), {}),
    ((1, 1, 1024, 1024), (1, 1, 9, 9), {}),
    ((1, 1, 1024, 1024), (1, 1, 21, 21), {}),
    ((1, 3, 256, 256), (8, 3, 7, 7), {}),
    ((64, 3, 32, 32), (64, 3, 3, 3), {}),
    ((64, 8, 32, 32), (8, 8, 3, 3), {}),
    ((64, 16, 32, 32), (16, 16, 3, 3), {}),
    ((32, 32, 16, 16), (32, 32, 3, 3), {}),
    ((32, 128, 16, 16), (128, 128, 3, 3), {}),
    ((32, 256, 8, 8), (256, 256, 3, 3), {}),
    ((64, 128, 4, 4), (128, 128, 3, 3), {}),
    ((64, 128, 16, 16), (128, 128, 1, 1), {}),
    ((16, 64, 32, 32), (64, 64, 3, 3), {"stride": 2}),
    ((16, 64, 32, 32), (64, 1, 5, 5), {"groups": 64}),
)


def _image(dtype: str) -> Inputs:
    rng = np.random.default_rng(0)
    return {
        "x": rng.standard_normal((5000, 5000)).astype(dtype),
        "w": rng.standard_normal((10, 10)).astype(dtype),
    }


def _work(function: Callable[[], Any]) -> Work:
    return Work(function, lambda: {"map": np.asarray(function())})


def _ours(inputs: Inputs, device: str) -> Work:
    from tinygrad_ckn import ops

    return _work(lambda: ops.correlate2d(inputs["x"], inputs["w"], padding="valid"))


def _scipy(inputs: Inputs, device: str) -> Work:
    from scipy.signal import correlate2d

    return _work(lambda: correlate2d(inputs["x"], inputs["w"], mode="valid"))


def _torch(inputs: Inputs, device: str) -> Work:
    import torch

    unfolded = 8 * inputs["x"].size * inputs["w"].size
    available = memory("MemAvailable", MACHINE)
    if inputs["x"].dtype == "float64" and available is not None and available < unfolded:
        raise LeftOutError(
            f"conv2d of float64 unfolds the image to {unfolded / 1e9:.0f} GB, "
            f"and {available / 1e9:.0f} GB are available"
        )
    x, w = (torch.from_numpy(inputs[name])[None, None] for name in ("x", "w"))

    def function() -> torch.Tensor:
        with torch.inference_mode():
            return torch.nn.functional.conv2d(x, w)[0, 0]

    return _work(function)


def _algorithm(
    inputs: Inputs,
    device: str,
    *,
    operation: str,
    name: str,
    dtype: str = "float32",
    **options: Any,
) -> Work:
    """Return the work of an algorithm; "auto" is the library's choice."""
    from tinygrad_ckn import ops

    x, w, g = (inputs[key].astype(dtype) for key in ("x", "w", "g"))
    options |= {"padding": "same", "algorithm": name}
    return _work(
        {
            "forward": lambda: ops.correlate2d(x, w, **options),
            "input adjoint": lambda: ops.correlate2d_input(g, w, input_size=x.shape[2:], **options),
            "weight adjoint": lambda: ops.correlate2d_weight(
                x, g, kernel_size=w.shape[2:], **options
            ),
        }[operation]
    )


def _arrays(x_shape: Sequence[int], w_shape: Sequence[int], options: dict[str, Any]) -> Inputs:
    """Return images, filters and gradients of outputs."""
    from tinygrad_ckn import ops

    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(shape).astype("float32") for shape in (x_shape, w_shape))
    shape = ops.correlate2d(x, w, padding="same", **options).shape
    return {"x": x, "w": w, "g": rng.standard_normal(shape).astype("float32")}


def _label(x_shape: Sequence[int], w_shape: Sequence[int], options: dict[str, Any]) -> str:
    sizes = f"{'x'.join(map(str, x_shape))} by {'x'.join(map(str, w_shape))}"
    return ", ".join([sizes, *(f"{name} {value}" for name, value in options.items())])


def _by_shape(operation: str) -> list[Case]:
    from tinygrad_ckn.cpu.correlate.dispatch import algorithms_for

    cases = []
    for x_shape, w_shape, options in SHAPES:
        supported = algorithms_for(x_shape, w_shape, "float32", padding="same", **options)
        too_slow = SLOW_ALGORITHMS if w_shape[0] * w_shape[1] > PAIRS else ()
        names = ("auto", *(name for name in supported if name not in too_slow))
        common = {"operation": operation, **options}
        cases.append(
            Case(
                _label(x_shape, w_shape, options),
                [
                    Side(
                        name,
                        _algorithm,
                        {**common, "name": name},
                        ("tinygrad_ckn.cpu.correlate.dispatch",),
                    )
                    for name in names
                ],
                functools.partial(_arrays, x_shape, w_shape, options),
                # for Winograd in float32; the others stay below 1e-5
                tolerances={"map": 1e-4},
                reference=Side(
                    "unfold in float64",
                    _algorithm,
                    {**common, "name": "unfold", "dtype": "float64"},
                ),
                rounds=6,
                group=f"correlate2d, algorithms, {operation}",
            )
        )
    return cases


def _large(
    dtype: str, tolerance: float, rounds: int, peers: Sequence[Side], targets: Mapping[str, float]
) -> Case:
    """Return the case of the large image; comparing outputs has warmed all sides up."""
    sides = [Side(OURS, _ours, imports=("tinygrad_ckn.cpu.correlate.dispatch",)), *peers]
    sides.append(Side(SCIPY, _scipy, imports=("scipy.signal",)))
    return Case(
        f"correlate2d, 5000x5000 by 10x10 valid, {dtype}",
        sides,
        functools.partial(_image, dtype),
        tolerances={"map": tolerance},
        targets={**targets, SCIPY: 0.04},
        rounds=rounds,
        steps=1,
        warm_up=0,
    )


def _cases(_: Settings) -> Sequence[Case]:
    eager = Side(EAGER, _torch, imports=("torch",))
    tuned = Side(TUNED, _torch, imports=("torch",), tuned_malloc=True)
    return [
        _large("float32", 1e-5, 4, (tuned, eager), {TUNED: 0.13}),
        # A malloc that keeps memory ends up with two blocks of 20 GB for PyTorch's
        # unfolded image.
        _large("float64", 1e-12, 2, (eager,), {EAGER: 0.02}),
        *(
            case
            for operation in ("forward", "input adjoint", "weight adjoint")
            for case in _by_shape(operation)
        ),
    ]


SUITE = Suite(
    "correlate2d",
    "5000x5000 by 10x10 against PyTorch and SciPy, and all algorithms over a grid of shapes",
    _cases,
)
