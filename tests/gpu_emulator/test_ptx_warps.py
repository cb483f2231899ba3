"""Shuffles and votes against the manual's description of a single lane."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.gpu_emulator.ptx import BadShuffle, NotKnown

MODES = {
    "up": "__shfl_up_sync",
    "down": "__shfl_down_sync",
    "bfly": "__shfl_xor_sync",
    "idx": "__shfl_sync",
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("width", [32, 16, 4])
@given(st.integers(0, 31))
def test_shuffles(run, mode, width, amount):
    source = f"""
    extern "C" __global__ void f(const int* x, int* y, int amount) {{
        y[threadIdx.x] = {MODES[mode]}(0xffffffffu, x[threadIdx.x], amount, {width});
    }}
    """
    amount = amount % width
    x, y = np.arange(96, dtype="i4") ** 2, np.zeros(96, "i4")
    run(source, "f", 1, 96, x, y, np.int32(amount))
    for lane in range(96):
        start, own = lane // width * width, lane % width
        from_ = {"up": own - amount, "down": own + amount, "bfly": own ^ amount, "idx": amount}[
            mode
        ]
        assert y[lane] == x[start + from_ if 0 <= from_ < width else lane]


def test_a_part_of_a_warp_exchanges_values(run):
    source = """
    extern "C" __global__ void f(const double* x, double* y) {
        unsigned half = threadIdx.x < 16 ? 0x0000ffffu : 0xffff0000u;
        y[threadIdx.x] = __shfl_xor_sync(half, x[threadIdx.x], FAR);
        if (threadIdx.x < 16) y[threadIdx.x] += __shfl_sync(0xffffu, x[threadIdx.x], 3);
    }
    """
    x, y = np.random.default_rng(0).normal(size=32), np.zeros(32)
    run(source.replace("FAR", "8"), "f", 1, 32, x, y)
    expected = x[np.arange(32) ^ 8]
    expected[:16] += x[3]
    np.testing.assert_array_equal(y, expected)
    with pytest.raises(BadShuffle, match="reads from lane 16"):
        run(source.replace("FAR", "16"), "f", 1, 32, x, y)


def test_votes_and_masks(run):
    source = """
    extern "C" __global__ void f(const int* x, unsigned* y) {
        unsigned all = __activemask();
        int i = threadIdx.x, v = x[i];
        y[i] = __ballot_sync(all, v > 10);
        y[48 + i] = __any_sync(all, v > 10) + 2 * __all_sync(all, v > 10);
        y[96 + i] = __match_any_sync(all, v % 3);
        y[144 + i] = __reduce_add_sync(all, v);
        y[192 + i] = __reduce_max_sync(all, v) - __reduce_min_sync(all, v);
        y[240 + i] = all;
    }
    """
    x, y = np.random.default_rng(0).integers(0, 20, 48).astype("i4"), np.zeros(288, "u4")
    run(source, "f", 1, 48, x, y)
    for first, last in ((0, 32), (32, 48)):
        warp = x[first:last].tolist()
        for i, v in enumerate(warp):
            lane = y[first + i :: 48].tolist()
            ballot = sum((w > 10) << j for j, w in enumerate(warp))
            equal = sum((w % 3 == v % 3) << j for j, w in enumerate(warp))
            votes = (ballot != 0) + 2 * all(w > 10 for w in warp)
            assert lane == [
                ballot,
                votes,
                equal,
                sum(warp),
                max(warp) - min(warp),
                (1 << len(warp)) - 1,
            ]


def test_named_barriers_are_not_supported(run):
    with pytest.raises(NotKnown, match="a barrier other than __syncthreads"):
        run('extern "C" __global__ void f() { asm("bar.sync 1, 64;"); }', "f", 1, 128)
