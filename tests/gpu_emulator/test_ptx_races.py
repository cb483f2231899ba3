"""Planted races and barriers: each is detected, and the corrected kernel runs."""

import numpy as np
import pytest

from tools.gpu_emulator.ptx import BarrierDivergence, Race, Uninitialised

REVERSED = """
extern "C" __global__ void reversed(const float* x, float* y, int n) {
    __shared__ float tile[128];
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    tile[threadIdx.x] = i < n ? x[i] : 0.0f;
    BARRIER
    int j = blockIdx.x * blockDim.x + (blockDim.x - 1 - threadIdx.x);
    if (j < n) y[j] = tile[blockDim.x - 1 - threadIdx.x];
}
"""


def reversed_(run, barrier="__syncthreads();", n=301):
    x = np.arange(n, dtype="f4")
    y = np.zeros_like(x)
    source = REVERSED.replace("BARRIER", barrier)
    run(source, "reversed", 3, 128, x, y, np.int32(n))
    return x, y


def test_a_missing_barrier_is_a_race(run):
    x, y = reversed_(run)
    np.testing.assert_array_equal(x, y)
    with pytest.raises(Race, match="reads a word that thread 127 of block 0 wrote") as caught:
        reversed_(run, barrier="")
    error = caught.value
    assert (error.kernel, error.source, error.thread, error.block) == (
        "reversed",
        8,
        (0, 0, 0),
        (0, 0, 0),
    )
    assert error.instruction.startswith("ld.shared.f32")


def test_a_missing_barrier_before_shared_memory_is_reused(run):
    source = """
    extern "C" __global__ void shift(float* y, int rounds) {
        __shared__ float s[64];
        float sum = 0;
        for (int r = 0; r < rounds; r++) {
            s[threadIdx.x] = r + threadIdx.x;
            __syncthreads();
            sum += s[(threadIdx.x + 1) % 64];
            AGAIN
        }
        y[threadIdx.x] = sum;
    }
    """
    y = np.zeros(64, "f4")
    run(source.replace("AGAIN", "__syncthreads();"), "shift", 1, 64, y, np.int32(3))
    np.testing.assert_array_equal(y, 3 * ((np.arange(64) + 1) % 64) + 3)
    with pytest.raises(Race, match="writes a word that thread 63 of block 0 read"):
        run(source.replace("AGAIN", ""), "shift", 1, 64, y, np.int32(3))


def test_a_race_across_blocks(run):
    source = """
    extern "C" __global__ void blur(const float* in, float* x, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) x[i] = 0.5f * in[i] + (i + 1 < n ? 0.5f * in[i + 1] : 0.0f);
    }
    """
    x = np.arange(96, dtype="f4")
    y = np.zeros_like(x)
    run(source, "blur", 3, 32, x, y, np.int32(96))
    np.testing.assert_array_equal(y[:-1], x[:-1] + 0.5)
    with pytest.raises(Race, match="that several threads of block 0 read"):
        # In place, neighbours change.
        run(source, "blur", 3, 32, x, x, np.int32(96))
    counter = 'extern "C" __global__ void count(int* total) { HOW; }'
    total = np.zeros(1, "i4")
    run(counter.replace("HOW", "atomicAdd(total, 1)"), "count", 5, 40, total)
    assert total == [200]
    with pytest.raises(Race, match="writes a word that several blocks read"):
        run(counter.replace("HOW", "total[0] += 1"), "count", 5, 1, total)
    with pytest.raises(
        Race, match="writes a word that thread 0 of block 1 writes at the same time"
    ):
        run(
            counter.replace("HOW", "if (threadIdx.x == 0) total[blockIdx.x / 2] = 1"),
            "count",
            2,
            32,
            total,
        )


def test_a_race_across_batches_of_blocks(run):
    source = (
        'extern "C" __global__ void f(int* x) '
        "{ if (threadIdx.x == 0) x[blockIdx.x % 4096] = blockIdx.x; }"
    )
    x = np.zeros(4096, "i4")
    run(source, "f", 4096, 32, x)
    np.testing.assert_array_equal(x, np.arange(4096))
    with pytest.raises(Race, match="thread 0 of block 0 wrote"):
        run(source, "f", 4097, 32, x)


def test_plain_and_atomic_accesses_to_one_word(run):
    source = (
        'extern "C" __global__ void f(int* x, int* y) { atomicAdd(x, 1); y[threadIdx.x] = HOW; }'
    )
    x, y = np.zeros(1, "i4"), np.zeros(32, "i4")
    run(source.replace("HOW", "atomicAdd(x, 0)"), "f", 1, 32, x, y)
    with pytest.raises(
        Race, match="reads a word that several threads of block 0 changed atomically"
    ):
        run(source.replace("HOW", "x[0]"), "f", 1, 32, x, y)


def test_words_read_as_constant_must_not_change(run):
    source = """
    extern "C" __global__ void f(const float* __restrict__ x, float* y) {
        y[threadIdx.x] = 2 * x[threadIdx.x];
    }
    """
    x, y = np.arange(32, dtype="f4"), np.zeros(32, "f4")
    run(source, "f", 1, 32, x, y)
    np.testing.assert_array_equal(y, 2 * x)
    with pytest.raises(
        Race, match="writes a word that thread 0 of block 0 read as constant, in the same launch"
    ):
        # Each thread has its own element, but x was declared __restrict__.
        run(source, "f", 1, 32, y, y)
    y = x.copy()
    run(source.replace("__restrict__", ""), "f", 1, 32, y, y)
    np.testing.assert_array_equal(y, 2 * x)


def test_volatile_accesses_are_in_order_among_themselves(run):
    source = """
    extern "C" __global__ void f(int* y) {
        __shared__ KIND int s[64];
        s[threadIdx.x] = threadIdx.x;
        y[threadIdx.x] = s[threadIdx.x] + s[0] * 0;
        atomicAdd((int*)&s[0], 1);
    }
    """
    y = np.zeros(32, "i4")
    run(source.replace("KIND", "volatile"), "f", 1, 32, y)
    np.testing.assert_array_equal(y[1:], np.arange(1, 32))
    with pytest.raises(Race, match="changes atomically a word that thread 0 of block 0 wrote"):
        run(source.replace("KIND", ""), "f", 1, 32, y)
    with pytest.raises(Uninitialised):
        run(
            source.replace("KIND", "volatile").replace("s[threadIdx.x] = threadIdx.x;", ""),
            "f",
            1,
            32,
            y,
        )


def test_lanes_of_a_warp_need_a_syncwarp(run):
    source = """
    extern "C" __global__ void f(int* y) {
        __shared__ int s[64];
        int other = threadIdx.x ^ 1;
        s[threadIdx.x] = threadIdx.x;
        SYNC
        int found = s[other];
        SYNC
        s[threadIdx.x] = found;
        y[threadIdx.x] = found;
    }
    """
    y = np.zeros(64, "i4")
    run(source.replace("SYNC", "__syncwarp();"), "f", 1, 64, y)
    np.testing.assert_array_equal(y, np.arange(64) ^ 1)
    with pytest.raises(Race):
        run(source.replace("SYNC", 'asm volatile("" ::: "memory");'), "f", 1, 64, y)
    across = source.replace("SYNC", "__syncwarp();").replace("^ 1", "^ 32")
    with pytest.raises(Race, match="of block 0"):
        run(across, "f", 1, 64, y)


def test_a_divergent_barrier(run):
    source = """
    extern "C" __global__ void f(int* y, int n) {
        __shared__ int s[64];
        s[threadIdx.x] = threadIdx.x;
        if (threadIdx.x >= n) HOW
        __syncthreads();
        y[threadIdx.x] = s[threadIdx.x ^ 33];
    }
    """
    y = np.zeros(64, "i4")
    run(source.replace("HOW", "return;"), "f", 1, 64, y, np.int32(64))
    np.testing.assert_array_equal(y, np.arange(64) ^ 33)
    with pytest.raises(
        BarrierDivergence, match="thread 50 of the block never comes here, it has ended"
    ):
        run(source.replace("HOW", "return;"), "f", 1, 64, y, np.int32(50))
    with pytest.raises(BarrierDivergence, match="it waits at the barrier of PTX line"):
        run(source.replace("HOW", "{ __syncthreads(); s[0] = 1; }"), "f", 1, 64, y, np.int32(50))
