"""The counters of a launch against figures worked out by hand."""

import numpy as np
import pytest

from tools.gpu_emulator.ptx import launch

COPY = """
template <typename T> __global__ void copy(const T* x, T* y, int stride, int offset) {
    int i = (blockIdx.x * blockDim.x + threadIdx.x) * stride + offset;
    y[i] = x[i];
}
"""


@pytest.mark.parametrize(
    ("kind", "dtype", "stride", "offset", "sectors", "ideal"),
    [
        # 32 lanes of 4 bytes are 128 bytes
        ("float", "f4", 1, 0, 4, 4),
        ("float", "f4", 2, 0, 8, 4),
        # one sector per lane
        ("float", "f4", 8, 0, 32, 4),
        ("float", "f4", 100, 0, 32, 4),
        ("float", "f4", 1, 1, 5, 4),
        ("double", "f8", 1, 0, 8, 8),
        ("double", "f8", 2, 0, 16, 8),
        ("float4", "f4", 1, 0, 16, 16),
        ("char", "i1", 1, 0, 1, 1),
    ],
)
def test_sectors(run, kind, dtype, stride, offset, sectors, ideal):
    count = 4 * 64 * stride * 4 + offset
    x = np.arange(count).astype(dtype)
    report = run(
        COPY, f"copy<{kind}>", 4, 64, x, np.zeros_like(x), np.int32(stride), np.int32(offset)
    )
    load, store = report.of("global")
    for traffic in (load, store):
        assert (traffic.requests, traffic.sectors, traffic.ideal) == (8, 8 * sectors, 8 * ideal)
    assert report.sectors_per_request == sectors
    assert report.coalescing == report.worst_coalescing == load.coalescing == sectors / ideal
    assert (load.line < store.line, load.source, load.space) == (True, 4, "global")
    assert f"8 requests, {8 * sectors} sectors, ideal {8 * ideal}" in str(report)


def test_lanes_at_one_address_read_it_once(run):
    source = (
        'extern "C" __global__ void f(const float* x, float* y) '
        "{ y[threadIdx.x] = x[threadIdx.x / 64]; }"
    )
    load, store = run(source, "f", 1, 64, np.ones(1, "f4"), np.zeros(64, "f4")).of("global")
    assert (load.requests, load.sectors, load.ideal) == (2, 2, 2)
    assert (store.requests, store.sectors, store.ideal) == (2, 8, 8)


def test_a_partial_warp_and_a_column_in_any_order(run):
    source = """
    extern "C" __global__ void f(const int* order, float* y, int n) {
        if (threadIdx.x < n) y[order[threadIdx.x]] = 1;
    }
    """
    order = np.random.default_rng(0).permutation(32).astype("i4")
    _, store = run(source, "f", 1, 32, order, np.zeros(32, "f4"), np.int32(32)).of("global")
    assert (store.sectors, store.ideal) == (4, 4)
    load, store = run(
        source, "f", 1, 32, np.arange(0, 64, 2, dtype="i4"), np.zeros(64, "f4"), np.int32(10)
    ).of("global")
    # 40 bytes
    assert (load.requests, load.sectors, load.ideal) == (1, 2, 2)
    # over 76 bytes
    assert (store.requests, store.sectors, store.ideal) == (1, 3, 2)


TILE = """
template <typename T, int PITCH> __global__ void turned(const T* x, T* y) {
    __shared__ T tile[32 * PITCH];
    for (int r = threadIdx.y; r < 32; r += blockDim.y)
        tile[r * PITCH + threadIdx.x] = x[r * 32 + threadIdx.x];
    __syncthreads();
    for (int r = threadIdx.y; r < 32; r += blockDim.y)
        y[r * 32 + threadIdx.x] = tile[threadIdx.x * PITCH + r];
}
"""


@pytest.mark.parametrize(
    ("kind", "pitch", "ways"),
    [
        ("float", 32, 32),
        ("float", 33, 1),
        ("float", 34, 2),
        ("float", 40, 8),
        ("double", 32, 16),
        ("double", 33, 1),
    ],
)
def test_bank_conflicts_of_columns(run, kind, pitch, ways):
    x = np.arange(1024, dtype="f4" if kind == "float" else "f8").reshape(32, 32)
    y = np.zeros_like(x)
    report = run(TILE, f"turned<{kind}, {pitch}>", 1, (32, 8), x, y)
    np.testing.assert_array_equal(y, x.T)
    rows, columns = report.of("shared")[0], report.of("shared")[-1]
    assert rows.worst == 1
    assert columns.worst == report.worst_bank_conflict == ways
    # doubles go by half-warps
    phases = columns.requests * (2 if kind == "double" else 1)
    assert columns.cycles == ways * phases
    assert report.coalescing == 1


def test_vectors_and_broadcasts_have_no_conflicts(run):
    source = """
    extern "C" __global__ void f(float* y) {
        __shared__ float4 s[32];
        s[threadIdx.x] = make_float4(threadIdx.x, 1, 2, 3);
        __syncthreads();
        y[threadIdx.x] = s[threadIdx.x / 32].x + s[31 - threadIdx.x].w;
    }
    """
    y = np.zeros(32, "f4")
    report = run(source, "f", 1, 32, y)
    assert (y == 3).all()
    # 512 bytes, 128 at a time
    assert report.of("shared")[0].cycles == 4
    # all lanes read one word
    assert report.of("shared")[1].worst == 1
    # the last words of 32 float4
    assert report.of("shared")[2].worst == 4


def test_lanes_that_share_a_word_share_the_pass(run):
    source = """
    extern "C" __global__ void f(float* y) {
        __shared__ float s[1024];
        for (int i = threadIdx.x; i < 1024; i += 32) s[i] = i;
        __syncthreads();
        y[threadIdx.x] = s[threadIdx.x / 2 * 32];
    }
    """
    y = np.zeros(32, "f4")
    report = run(source, "f", 1, 32, y)
    np.testing.assert_array_equal(y, np.arange(32) // 2 * 32)
    assert report.of("shared")[-1].worst == 16


def test_instructions_and_operations(run):
    source = """
    extern "C" __global__ void f(float* x, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) x[i] = x[i] * x[i] + 3.0f;
    }
    """
    whole = run(source, "f", 2, 64, np.ones(128, "f4"), np.int32(128))
    part = run(source, "f", 2, 64, np.ones(128, "f4"), np.int32(33))
    assert (whole.kernel, whole.flops, part.flops) == ("f", 2 * 128, 2 * 33)
    # four warps load and store
    assert whole.requests == 8
    # two of them
    assert part.requests == 4
    assert whole.instructions > part.instructions


def test_a_warp_instruction_counts_once_for_all_its_lanes():
    text = """
    .visible .entry f() {
        .reg .b32 %r<3>;
        mov.u32 %r1, %tid.x;
        add.s32 %r2, %r1, 1;
        ret;
    }
    """
    report = launch(text, "f", (2, 3), (16, 5), [])
    # instructions, blocks, warps of 80 threads
    assert report.instructions == 3 * 6 * 3
    assert report.steps == 3
