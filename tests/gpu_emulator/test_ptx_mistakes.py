"""Planted bugs other than races: each is detected, and the corrected kernel runs."""

import numpy as np
import pytest

from tools.gpu_emulator.ptx import (
    BadShuffle,
    EndlessLoop,
    Misaligned,
    OutOfBounds,
    PTXError,
    ReadOnly,
    Trapped,
    Uninitialised,
)


def test_an_off_by_one_bound_is_out_of_bounds(run):
    source = (
        'extern "C" __global__ void f(int* y, int n) '
        "{ int i = blockIdx.x * 128 + threadIdx.x; if (i < n) y[i] = i; }"
    )
    y = np.zeros(301, "i4")
    run(source, "f", 3, 128, y, np.int32(301))
    np.testing.assert_array_equal(y, np.arange(301))
    with pytest.raises(
        OutOfBounds,
        match=r"4 bytes at address \w+, 0 bytes past the end of argument 0 \(1204 bytes\)",
    ):
        run(source.replace("i < n", "i <= n"), "f", 3, 128, y, np.int32(301))
    source = (
        'extern "C" __global__ void f(const int* x, int* y) '
        "{ y[threadIdx.x] = x[(int)threadIdx.x - 1]; }"
    )
    with pytest.raises(OutOfBounds, match="4 bytes before argument 0"):
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


@pytest.mark.parametrize(("height", "width"), [(20, 31), (31, 20)])
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
        # Stays within the array, so only the values differ.
        assert height < width
        assert (y != x.T).any()


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
    with pytest.raises(
        BadShuffle, match="reads from lane 16, which has exited, does not exist or is inactive"
    ):
        run(right.replace("MASK", "0xffffffffu"), "summed", 1, 16, x, y)


def test_an_endless_loop(run):
    source = """
    extern "C" __global__ void f(volatile int* x) { while (x[0] != LAST) { } x[1] = 5; }
    """
    x = np.array([7, 0], "i4")
    run(source.replace("LAST", "7"), "f", 1, 1, x)
    assert x[1] == 5
    with pytest.raises(EndlessLoop, match="more than 5000 steps"):
        run(source.replace("LAST", "8"), "f", 1, 1, x, budget=5000)


def test_a_store_to_read_only_memory(run):
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
        source = (
            'extern "C" __global__ void f(int* x) {\n'
            " if (x[threadIdx.x + 8 * threadIdx.y]) __trap(); }"
        )
        run(source, "f", (2, 3), (8, 4), (np.arange(32) == 21).astype("i4"))
    assert isinstance(caught.value, PTXError)
    assert (caught.value.thread, caught.value.block) == ((5, 2, 0), (0, 0, 0))
    assert "source line 2) of f in thread (5, 2, 0) of block (0, 0, 0)" in str(caught.value)
