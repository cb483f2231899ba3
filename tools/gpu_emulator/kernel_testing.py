"""Helpers for tests of kernels: random geometries and arrays, runs, comparisons."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tools.gpu_emulator.standin import COUNTERS, CUPY

EXAMPLES = 200
examples = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
# relative to the largest value
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
dtypes = st.sampled_from(sorted(TOLERANCE))
seeds = st.integers(0, 2**32 - 1)


@dataclass(frozen=True)
class Geometry:
    """Images (n, c, *size) and the windows on them."""

    n: int
    c: int
    size: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]

    @property
    def span(self) -> tuple[int, int]:
        """Size that a dilated kernel covers."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    @property
    def out(self) -> tuple[int, int]:
        """Number of windows along each axis."""
        axes = zip(self.size, self.span, self.padding, self.stride, strict=True)
        return tuple((length + 2 * pad - span) // stride + 1 for length, span, pad, stride in axes)

    @property
    def options(self) -> dict:
        """Keyword arguments of the operations."""
        return {"stride": self.stride, "padding": self.padding, "dilation": self.dilation}

    def windows(self, x: np.ndarray) -> np.ndarray:
        """Return the windows of images, cut out by NumPy: (n, c, ho, wo, kh, kw)."""
        top, left = self.padding
        sh, sw = self.stride
        dh, dw = self.dilation
        padded = np.pad(x, ((0, 0), (0, 0), (top, top), (left, left)))
        return np.lib.stride_tricks.sliding_window_view(padded, self.span, axis=(2, 3))[
            :, :, ::sh, ::sw, ::dh, ::dw
        ]


@st.composite
def geometries(draw):
    """Draw geometries: rectangular images, strides, dilations, any kernel size.

    Kernels may exceed the image if it is padded enough.
    """
    size, kernel = (draw(st.tuples(st.integers(1, n), st.integers(1, n))) for n in (11, 5))
    stride, dilation = (
        draw(st.sampled_from([(1, 1), (1, 1), (2, 1), (1, 3), (2, 2), (3, 4)])) for _ in range(2)
    )
    needed = [
        max(0, -(-((k - 1) * d + 1 - length) // 2))
        for k, d, length in zip(kernel, dilation, size, strict=True)
    ]
    padding = tuple(draw(st.integers(least, least + 2)) for least in needed)
    return Geometry(
        draw(st.integers(1, 3)), draw(st.integers(1, 3)), size, kernel, stride, padding, dilation
    )


def normal(seed: int, *shapes: tuple[int, ...], dtype: str = "float64") -> list[np.ndarray]:
    """Return normal numbers as float64, rounded to values that `dtype` can represent."""
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype(dtype).astype("float64") for shape in shapes]


def on_gpu(function, *arguments, dtype="float64", **options) -> np.ndarray:
    """Call a function with its arrays moved to the device in `dtype`; return a host array."""
    moved = (CUPY.asarray(a.astype(dtype)) if isinstance(a, np.ndarray) else a for a in arguments)
    return CUPY.asnumpy(function(*moved, **options))


def launched_often(*kernels: str) -> None:
    """Assert that the test has launched each of these kernels at least EXAMPLES times."""
    found = Counter(name.split("<")[0] for name in COUNTERS.launches)
    assert all(found[kernel] >= EXAMPLES for kernel in kernels), found


def agree(got: np.ndarray, expected: np.ndarray, scale: float | None = None) -> None:
    """Assert that a result has the expected shape, and its values up to TOLERANCE."""
    assert got.shape == expected.shape
    if expected.size:
        largest = np.abs(expected).max() if scale is None else scale
        assert np.abs(got - expected).max() <= TOLERANCE[got.dtype.name] * max(largest, 1e-300)
