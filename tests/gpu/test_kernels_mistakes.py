"""Bugs planted in the library's kernels: the interpreter names each, or the values differ."""

import copy

import pytest

from tinygrad_ckn import ops
from tinygrad_ckn.cuda import ckn_map, direct, kmeans, pool, window
from tinygrad_ckn.cuda.launch import SOURCES
from tinygrad_ckn.models.clustering.assignment import assign
from tinygrad_ckn.models.kernels import Exponential
from tools.gpu_emulator.kernel_testing import agree, normal, on_gpu
from tools.gpu_emulator.ptx import BadShuffle, OutOfBounds, Race, Uninitialised

pytestmark = pytest.mark.usefixtures("compiler", "standin")

BARRIER = "__syncthreads();"
# for each source: the module that launches it, a call, and its operands
CALLS = {
    "window": (window, lambda x: ops.unfold(x, (2, 3), padding=1), [(2, 2, 7, 12)]),
    "correlate": (direct, lambda x, w: ops.correlate2d(x, w, padding="same"), [(40, 31), (3, 5)]),
    "pool": (pool, lambda x: ops.gaussian_pool2d(x, 2), [(1, 2, 12, 31)]),
    "kmeans": (kmeans, lambda x, c: assign(x, x[:, 0], c)[2], [(300, 5), (40, 5)]),
    "ckn_map": (
        ckn_map,
        lambda x, z: ops.ckn_map(x, z, Exponential(1.0).fused()),
        [(1, 9, 5, 9), (4, 9, 2, 3)],
    ),
}
MISTAKES = [
    ("a missing barrier", "correlate", BARRIER, "", Race),
    ("a missing barrier", "pool", BARRIER, "", Race),
    ("a missing barrier", "ckn_map", BARRIER, "", Race),
    ("a missing barrier", "kmeans", f"{BARRIER}\n        int before", "int before", Race),
    ("a missing barrier", "kmeans", f"{BARRIER}\n        if (col < d)", "if (col < d)", Race),
    ("an off-by-one bound", "window", "i >= positions", "i > positions", OutOfBounds),
    ("an off-by-one bound", "window", "row < h", "row <= h", OutOfBounds),
    ("an off-by-one bound", "window", "col < w", "col <= w", OutOfBounds),
    (
        "an off-by-one bound",
        "correlate",
        "row < ho && col < wo",
        "row <= ho && col < wo",
        OutOfBounds,
    ),
    ("an off-by-one bound", "kmeans", "i < end", "i <= end", OutOfBounds),
    ("an off-by-one bound", "ckn_map", "c < channels", "c <= channels", OutOfBounds),
    ("swapped width and height", "window", "row * w + col", "row * h + col", None),
    ("swapped width and height", "window", "at % wo", "at % ho", None),
    (
        "swapped width and height",
        "correlate",
        "image[row * w + col]",
        "image[row * h + col]",
        OutOfBounds,
    ),
    (
        "swapped width and height",
        "pool",
        "* h + row_starts[i]) * w",
        "* w + row_starts[i]) * h",
        None,
    ),
    ("swapped width and height", "ckn_map", "row * w + col", "row * h + col", None),
    ("an uninitialised shared read", "correlate", "r < span_h;", "r < span_h - 1;", Uninitialised),
    ("an uninitialised shared read", "pool", "c < span &&", "c < span - 1 &&", Uninitialised),
    ("an off-by-one bound", "ckn_map", "i < SHARES", "i <= SHARES", OutOfBounds),
    (
        "a race across blocks",
        "correlate",
        "tile / across * high",
        "tile / across * (high - 1)",
        Race,
    ),
    ("a race across blocks", "kmeans", "((long long)part * k + cluster)", "cluster", Race),
    (
        "a wrong shuffle mask",
        "kmeans",
        "__shfl_xor_sync(~0u, best",
        "__shfl_xor_sync(0xffffu, best",
        BadShuffle,
    ),
]


@pytest.mark.parametrize(("name", "source", "right", "wrong", "error"), MISTAKES)
def test_a_mistake_is_caught(monkeypatch, name, source, right, wrong, error):
    module, call, shapes = CALLS[source]
    # two blocks per cluster
    monkeypatch.setattr(kmeans, "_SEGMENT", 150)
    arrays = normal(1, *shapes)
    expected = on_gpu(call, *arrays)
    planted = copy.copy(module.SOURCE)
    assert right in planted.text
    planted.text = planted.text.replace(right, wrong)
    planted.expressions = tuple(each for each in planted.expressions if "double" in each)
    monkeypatch.setattr(module, "SOURCE", planted)
    if error is None:
        with pytest.raises(AssertionError):
            agree(on_gpu(call, *arrays), expected)
    else:
        with pytest.raises(error):
            on_gpu(call, *arrays)


def test_each_source_has_mistakes():
    assert {source for _, source, *_ in MISTAKES} == CALLS.keys()
    assert {module.SOURCE.name for module, *_ in CALLS.values()} == {
        source.name for source in SOURCES
    }
