"""Planted bugs: each is caught by name, and the same kernel without it runs to the right result."""

import numpy as np
import pytest

from tests.gpu.ptx import (
    BadShuffle,
    BarrierDivergence,
    EndlessLoop,
    Misaligned,
    OutOfBounds,
    PTXError,
    Race,
    ReadOnly,
    Trapped,
    Uninitialised,
)

REVERSED = """
extern "C" __global__ void reversed(const float* x, float* y, int n) {
    __shared__ float tile[128];
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    tile[threadIdx.x] = i < n ? x[i] : 0.0f;
    BARRIER
    int j = blockIdx.x * blockDim.x + (blockDim.x - 1 - threadIdx.x);
    if (j < n LIMIT) y[j] = tile[blockDim.x - 1 - threadIdx.x];
}
"""


def reversed_(run, barrier="__syncthreads();", limit="", n=301):
    x = np.arange(n, dtype="f4")
    y = np.zeros_like(x)
    source = REVERSED.replace("BARRIER", barrier).replace("LIMIT", limit)
    run(source, "reversed", 3, 128, x, y, np.int32(n))
    return x, y


def test_a_missing_barrier_is_a_race(run):
    x, y = reversed_(run)
    np.testing.assert_array_equal(x, y)
    with pytest.raises(Race, match="reads a word that thread 127 of block 0 wrote") as caught:
        reversed_(run, barrier="")
    error = caught.value
    assert (error.kernel, error.source, error.thread, error.block) == ("reversed", 8, (0, 0, 0), (0, 0, 0))
    assert error.instruction.startswith("ld.shared.f32")


def test_a_barrier_too_few_before_shared_memory_is_used_again(run):
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


def test_an_off_by_one_bound_is_out_of_bounds(run):
    with pytest.raises(OutOfBounds, match=r"4 bytes at address \w+, 0 bytes past the end of argument 1 \(1204 bytes\)"):
        reversed_(run, limit="+ 1")
    with pytest.raises(OutOfBounds, match="4 bytes before argument 0"):
        source = 'extern "C" __global__ void f(const int* x, int* y) { y[threadIdx.x] = x[(int)threadIdx.x - 1]; }'
        run(source, "f", 1, 32, np.zeros(32, "i4"), np.zeros(32, "i4"))


def test_a_null_pointer_and_a_wild_one(run):
    source = 'extern "C" __global__ void f(float* x, long long far) { x[far] = 1; }'
    with pytest.raises(OutOfBounds, match="far from all memory"):
        run(source, "f", 1, 1, np.zeros(1, "f4"), np.int64(1 << 40))
    source = 'extern "C" __global__ void f(unsigned long long x) { *(float*)x = 1; }'
    with pytest.raises(OutOfBounds, match="a null pointer"):
        run(source, "f", 1, 1, np.uint64(0))


TRANSPOSED = """
extern "C" __global__ void transposed(const float* x, float* y, int height, int width) {
    int column = blockIdx.x * 16 + threadIdx.x, row = blockIdx.y * 16 + threadIdx.y;
    if (row < height && column < width) y[column * height + row] = x[row * STRIDE + column];
}
"""


@pytest.mark.parametrize(("height", "width"), [(20, 31), (31, 20), (1, 7)])
def test_swapped_width_and_height(run, height, width):
    x = np.arange(height * width, dtype="f4").reshape(height, width)
    y = np.zeros((width, height), "f4")
    args = (2, 2), (16, 16), x, y, np.int32(height), np.int32(width)
    run(TRANSPOSED.replace("STRIDE", "width"), "transposed", *args)
    np.testing.assert_array_equal(y, x.T)
    try:
        run(TRANSPOSED.replace("STRIDE", "height"), "transposed", *args)
    except OutOfBounds:
        assert height > width
    else:
        assert height < width  # stays within the array, so only the values tell
        assert (y != x.T).any() or height == 1


def test_a_misaligned_vector_load(run):
    source = """
    extern "C" __global__ void quads(const float* x, float* y) {
        float4 v = reinterpret_cast<const float4*>(x)[threadIdx.x];
        y[threadIdx.x] = v.x + v.y + v.z + v.w;
    }
    """
    whole, y = np.arange(40, dtype="f4"), np.zeros(8, "f4")
    run(source, "quads", 1, 8, whole[4:36], y)
    np.testing.assert_array_equal(y, whole[4:36].reshape(8, 4).sum(1))
    with pytest.raises(Misaligned, match="16 bytes are accessed at once at byte 0 of argument 0"):
        run(source, "quads", 1, 8, whole[1:33], y)


def test_an_uninitialised_shared_read(run):
    source = """
    extern "C" __global__ void last(float* y, int n) {
        extern __shared__ float s[];
        if (threadIdx.x < n) s[threadIdx.x] = threadIdx.x;
        __syncthreads();
        y[threadIdx.x] = s[63 - threadIdx.x];
    }
    """
    y = np.zeros(64, "f4")
    run(source, "last", 1, 64, y, np.int32(64), shared=256)
    np.testing.assert_array_equal(y, np.arange(64)[::-1])
    with pytest.raises(Uninitialised, match="nobody has written"):
        run(source, "last", 1, 64, y, np.int32(63), shared=256)
    with pytest.raises(OutOfBounds, match=r"past the end of dynamic shared memory \(252 bytes\)"):
        run(source, "last", 1, 64, y, np.int32(64), shared=252)


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
    with pytest.raises(Race, match="that several threads of block 0 read"):  # in place, neighbours change
        run(source, "blur", 3, 32, x, x, np.int32(96))
    counter = 'extern "C" __global__ void count(int* total) { HOW; }'
    total = np.zeros(1, "i4")
    run(counter.replace("HOW", "atomicAdd(total, 1)"), "count", 5, 40, total)
    assert total == [200]
    with pytest.raises(Race, match="writes a word that several blocks read"):
        run(counter.replace("HOW", "total[0] += 1"), "count", 5, 1, total)
    with pytest.raises(Race, match="writes a word that thread 0 of block 1 writes at the same time"):
        run(counter.replace("HOW", "if (threadIdx.x == 0) total[blockIdx.x / 2] = 1"), "count", 2, 32, total)


def test_a_race_across_batches_of_blocks(run):
    source = 'extern "C" __global__ void f(int* x) { if (threadIdx.x == 0) x[blockIdx.x % 4096] = blockIdx.x; }'
    x = np.zeros(4096, "i4")
    run(source, "f", 4096, 32, x)
    np.testing.assert_array_equal(x, np.arange(4096))
    with pytest.raises(Race, match="thread 0 of block 0 wrote"):
        run(source, "f", 4097, 32, x)


def test_plain_and_atomic_accesses_to_one_word(run):
    source = 'extern "C" __global__ void f(int* x, int* y) { atomicAdd(x, 1); y[threadIdx.x] = HOW; }'
    x, y = np.zeros(1, "i4"), np.zeros(32, "i4")
    run(source.replace("HOW", "atomicAdd(x, 0)"), "f", 1, 32, x, y)
    with pytest.raises(Race, match="reads a word that several threads of block 0 changed atomically"):
        run(source.replace("HOW", "x[0]"), "f", 1, 32, x, y)


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
        run(source.replace("KIND", "volatile").replace("s[threadIdx.x] = threadIdx.x;", ""), "f", 1, 32, y)


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


SUMMED = """
extern "C" __global__ void summed(const int* x, int* y) {
    int v = x[threadIdx.x];
    CONDITION
    for (int d = 16; d; d /= 2) v += __shfl_xor_sync(MASK, v, d);
    if (threadIdx.x == 0) y[0] = v;
}
"""


def test_a_wrong_shuffle_mask(run):
    x, y = np.arange(32, dtype="i4"), np.zeros(1, "i4")
    right = SUMMED.replace("CONDITION", "")
    run(right.replace("MASK", "0xffffffffu"), "summed", 1, 32, x, y)
    assert y == [496]
    with pytest.raises(BadShuffle, match="the mask 0x0000ffff leaves out lane 16, which executes"):
        run(right.replace("MASK", "0xffffu"), "summed", 1, 32, x, y)
    with pytest.raises(BadShuffle, match="names lanes 0xffff0000, which are elsewhere"):
        half = SUMMED.replace("CONDITION", "if (threadIdx.x < 16)").replace("MASK", "0xffffffffu")
        run(half + "// half", "summed", 1, 32, x, y)
    with pytest.raises(BadShuffle, match="reads from lane 16, which has exited, does not exist or takes no part"):
        run(right.replace("MASK", "0xffffffffu"), "summed", 1, 16, x, y)


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
    with pytest.raises(BarrierDivergence, match="thread 50 of the block never comes here, it has ended"):
        run(source.replace("HOW", "return;"), "f", 1, 64, y, np.int32(50))
    with pytest.raises(BarrierDivergence, match="it waits at the barrier of PTX line"):
        run(source.replace("HOW", "{ __syncthreads(); s[0] = 1; }"), "f", 1, 64, y, np.int32(50))


def test_an_endless_loop(run):
    source = """
    extern "C" __global__ void f(volatile int* x) { while (x[0] != LAST) { } x[1] = 5; }
    """
    x = np.array([7, 0], "i4")
    run(source.replace("LAST", "7"), "f", 1, 1, x)
    assert x[1] == 5
    with pytest.raises(EndlessLoop, match="more than 5000 steps"):
        run(source.replace("LAST", "8"), "f", 1, 1, x, budget=5000)


def test_a_store_to_what_is_read_only(run):
    x = np.zeros(32, "f4")
    x.flags.writeable = False
    with pytest.raises(ReadOnly, match="a store to argument 0"):
        run('extern "C" __global__ void f(float* x) { x[threadIdx.x] = 1; }', "f", 1, 32, x)


def test_an_uninitialised_local_array(run):
    source = """
    extern "C" __global__ void f(const int* at, int* y) {
        int table[16];
        for (int i = 0; i < at[0]; i++) table[(i * 5) % 16] = i;
        y[threadIdx.x] = table[at[1 + threadIdx.x]];
    }
    """
    y, at = np.zeros(32, "i4"), np.arange(-1, 32, dtype="i4") % 16
    at[0] = 16
    run(source, "f", 1, 32, at, y)
    np.testing.assert_array_equal(y * 5 % 16, at[1:])
    at[0] = 15
    with pytest.raises(Uninitialised):
        run(source, "f", 1, 32, at, y)


def test_a_trap_and_the_sentence_of_an_error(run):
    with pytest.raises(Trapped, match="the kernel stopped itself") as caught:
        source = 'extern "C" __global__ void f(int* x) {\n if (x[threadIdx.x + 8 * threadIdx.y]) __trap(); }'
        run(source, "f", (2, 3), (8, 4), (np.arange(32) == 21).astype("i4"))
    assert isinstance(caught.value, PTXError)
    assert (caught.value.thread, caught.value.block) == ((5, 2, 0), (0, 0, 0))
    assert "source line 2) of f in thread (5, 2, 0) of block (0, 0, 0)" in str(caught.value)
