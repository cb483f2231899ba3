"""Results of whole kernels against NumPy."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]
TYPES = {"float": ("f4", 1e-5), "double": ("f8", 1e-13)}
GEMM = """
template <typename T, int B>
__global__ void gemm(const T* __restrict__ a, const T* __restrict__ b, T* c, int m, int n, int k) {
    __shared__ T s[B][B], t[B][B];
    int row = blockIdx.y * B + threadIdx.y, column = blockIdx.x * B + threadIdx.x;
    T sum = 0;
    for (int p = 0; p < k; p += B) {
        s[threadIdx.y][threadIdx.x] =
            row < m && p + threadIdx.x < k ? a[row * k + p + threadIdx.x] : T(0);
        t[threadIdx.y][threadIdx.x] =
            column < n && p + threadIdx.y < k ? b[(p + threadIdx.y) * n + column] : T(0);
        __syncthreads();
        for (int q = 0; q < B; q++) sum += s[threadIdx.y][q] * t[q][threadIdx.x];
        __syncthreads();
    }
    if (row < m && column < n) c[row * n + column] = sum;
}
"""


@pytest.mark.parametrize("kind", TYPES)
@given(st.tuples(*[st.integers(1, 40)] * 3), st.integers(0, 2**32 - 1))
def test_a_tiled_product_of_matrices(run, kind, shape, seed):
    (m, n, k), (dtype, tolerance) = shape, TYPES[kind]
    rng = np.random.default_rng(seed)
    a, b, c = (
        rng.normal(size=(m, k)).astype(dtype),
        rng.normal(size=(k, n)).astype(dtype),
        np.full((m, n), np.nan, dtype),
    )
    grid = (-(-n // 16), -(-m // 16))
    report = run(
        GEMM, f"gemm<{kind}, 16>", grid, (16, 16), a, b, c, np.int32(m), np.int32(n), np.int32(k)
    )
    np.testing.assert_allclose(c, a.astype("f8") @ b, rtol=tolerance, atol=tolerance * k)
    assert report.flops == 2 * 256 * 16 * grid[0] * grid[1] * -(-k // 16)


SUM = """
template <typename T> __global__ void sum(const T* x, T* total, int n) {
    __shared__ T parts[32];
    T v = 0;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        v += x[i];
    for (int d = 16; d; d >>= 1) v += __shfl_down_sync(0xffffffffu, v, d);
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = v;
    __syncthreads();
    if (threadIdx.x < 32) {
        v = threadIdx.x < blockDim.x / 32 ? parts[threadIdx.x] : T(0);
        for (int d = 16; d; d >>= 1) v += __shfl_down_sync(0xffffffffu, v, d);
        if (threadIdx.x == 0) atomicAdd(total, v);
    }
}
"""


@pytest.mark.parametrize("kind", TYPES)
@given(st.integers(0, 5000), st.sampled_from([32, 96, 256]), st.integers(1, 5))
def test_a_sum_by_shuffles_shared_memory_and_atomics(run, kind, n, threads, blocks):
    dtype, tolerance = TYPES[kind]
    x, total = np.random.default_rng(n).normal(size=n).astype(dtype), np.zeros(1, dtype)
    run(SUM, f"sum<{kind}>", blocks, threads, x, total, np.int32(n))
    np.testing.assert_allclose(total, x.sum(dtype="f8"), atol=tolerance * max(1, n))


@given(st.integers(1, 3000), st.integers(1, 60))
def test_a_histogram_in_dynamic_shared_memory(run, n, bins):
    source = """
    extern "C" __global__ void histogram(const unsigned char* x, int* counts, int n, int bins) {
        extern __shared__ int own[];
        for (int b = threadIdx.x; b < bins; b += blockDim.x) own[b] = 0;
        __syncthreads();
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) atomicAdd(&own[x[i]], 1);
        __syncthreads();
        for (int b = threadIdx.x; b < bins; b += blockDim.x) atomicAdd(&counts[b], own[b]);
    }
    """
    x, counts = np.random.default_rng(n).integers(0, bins, n).astype("u1"), np.zeros(bins, "i4")
    run(
        source,
        "histogram",
        -(-n // 128),
        128,
        x,
        counts,
        np.int32(n),
        np.int32(bins),
        shared=4 * bins,
    )
    np.testing.assert_array_equal(counts, np.bincount(x, minlength=bins))


ATOMICS = """
template <typename T> __global__ void change(T* x, const T* v, T* old) {
    int i = threadIdx.x;
    old[i] = atomicAdd(&x[0], v[i]);
    atomicMin(&x[1], v[i]);
    atomicMax(&x[2], v[i]);
    atomicExch(&x[3], v[i]);
    old[64 + i] = atomicCAS(&x[4], T(i), T(i + 1));
}
"""


@pytest.mark.parametrize(("kind", "dtype"), [("int", "i4"), ("unsigned", "u4")])
def test_atomics_one_after_the_other(run, kind, dtype):
    x, v = (
        np.array([5, 50, 50, 0, 0], dtype),
        np.random.default_rng(0).integers(0, 100, 64).astype(dtype),
    )
    old = np.zeros(128, dtype)
    run(ATOMICS, f"change<{kind}>", 1, 64, x, v, old)
    assert x.tolist() == [5 + v.sum(), min(50, v.min()), max(50, v.max()), v[-1], 64]
    np.testing.assert_array_equal(np.sort(old[:64]), np.sort(5 + np.cumsum(v) - v))
    np.testing.assert_array_equal(old[64:], np.arange(64))


def test_an_atomic_loop_for_an_operation_without_an_atomic(run):
    source = """
    extern "C" __global__ void product(double* x, const double* v) {
        unsigned long long* bits = (unsigned long long*)x;
        unsigned long long seen = *(volatile unsigned long long*)bits, held;
        do {
            held = seen;
            const double product = __longlong_as_double(held) * v[threadIdx.x];
            seen = atomicCAS(bits, held, __double_as_longlong(product));
        } while (seen != held);
    }
    """
    x, v = np.ones(1), np.random.default_rng(0).uniform(0.5, 2, 40)
    run(source, "product", 1, 40, x, v)
    np.testing.assert_allclose(x, v.prod(), rtol=1e-13)


def test_threads_and_blocks_in_three_dimensions(run):
    source = """
    extern "C" __global__ void where(int* y) {
        int block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
        int thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
        int* at = y + 4 * (block * blockDim.x * blockDim.y * blockDim.z + thread);
        at[0] = blockIdx.x + 10 * blockIdx.y + 100 * blockIdx.z;
        at[1] = threadIdx.x + 10 * threadIdx.y + 100 * threadIdx.z;
        at[2] = gridDim.x + 10 * gridDim.y + 100 * gridDim.z;
        at[3] = blockDim.x + 10 * blockDim.y + 100 * blockDim.z;
    }
    """
    # blocks z y x, threads z y x, figures
    y = np.zeros((3, 4, 2, 2, 5, 3, 4), "i4")
    run(source, "where", (2, 4, 3), (3, 5, 2), y)
    z, y_, x = np.meshgrid(range(3), range(4), range(2), indexing="ij")
    np.testing.assert_array_equal(
        y[..., 0], (x + 10 * y_ + 100 * z)[..., None, None, None] * np.ones((2, 5, 3))
    )
    z, y_, x = np.meshgrid(range(2), range(5), range(3), indexing="ij")
    np.testing.assert_array_equal(y[..., 1], (x + 10 * y_ + 100 * z) * np.ones((3, 4, 2, 1, 1, 1)))
    assert (y[..., 2] == 342).all()
    assert (y[..., 3] == 253).all()


def test_divergent_loops_reconverge(run):
    source = """
    extern "C" __global__ void collatz(const int* x, int* y, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i >= n) return;
        int steps = 0;
        for (int v = x[i]; v != 1; steps++) {
            if (v % 2) v = 3 * v + 1; else v /= 2;
            if (steps > 200) break;
        }
        y[i] = steps;
    }
    """
    x = np.arange(1, 101, dtype="i4")
    y = np.zeros_like(x)
    run(source, "collatz", 4, 32, x, y, np.int32(100))

    def steps(v):
        return 0 if v == 1 else 1 + steps(3 * v + 1 if v % 2 else v // 2)

    np.testing.assert_array_equal(y, [steps(int(v)) for v in x])


def test_views_with_strides_and_arrays_that_share_memory(run):
    source = """
    template <typename T> __global__ void add(const T* x, T* y, int stride, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) y[i * stride] += x[i * stride];
    }
    """
    whole = np.arange(60.0).reshape(2, 30)
    expected = whole.copy()
    expected[1, ::-2] += expected[0, ::-2]
    run(source, "add<double>", 1, 32, whole[0, ::-2], whole[1, ::-2], np.int32(-2), np.int32(15))
    np.testing.assert_array_equal(whole, expected)
    x = np.arange(8.0)
    run(source, "add<double>", 1, 32, x, x, np.int32(1), np.int32(8))
    np.testing.assert_array_equal(x, 2 * np.arange(8.0))


def test_pointers_that_differ_between_lanes(run):
    source = """
    extern "C" __global__ void pick(const float* a, const float* b, float* y) {
        const float* from = threadIdx.x % 3 ? a : b;
        y[threadIdx.x] = from[threadIdx.x];
    }
    """
    a, b, y = np.arange(32, dtype="f4"), -np.arange(32, dtype="f4"), np.zeros(32, "f4")
    run(source, "pick", 1, 32, a, b, y)
    np.testing.assert_array_equal(y, np.where(np.arange(32) % 3, a, b))


def test_many_blocks_go_in_batches(run):
    source = (
        'extern "C" __global__ void f(int* y) '
        "{ y[blockIdx.x * blockDim.x + threadIdx.x] = blockIdx.x; }"
    )
    y = np.zeros(60000, "i4")
    report = run(source, "f", 600, 100, y)
    np.testing.assert_array_equal(y, np.arange(60000) // 100)
    assert report.requests == 600 * 4


def test_structures_constants_and_calls(run):
    source = """
    struct Shape { int rows; short columns[3]; double scale; };
    __constant__ float table[4] = {0.5f, 1.5f, -2.0f, 8.0f};
    __device__ const int other[3] = {7, 8, 9};
    __device__ __noinline__ double area(Shape s, int i) {
        return s.rows * s.columns[i % 3] * s.scale;
    }
    extern "C" __global__ void f(Shape s, double* y) {
        int i = threadIdx.x;
        y[i] = area(s, i) + table[i & 3] + other[i % 3];
    }
    """
    shape = np.zeros(
        (), np.dtype([("rows", "i4"), ("columns", "i2", 3), ("scale", "f8")], align=True)
    )
    shape["rows"], shape["columns"], shape["scale"] = 3, [4, 5, 6], 0.25
    y, i = np.zeros(40), np.arange(40)
    run(source, "f", 1, 40, shape[()], y)
    expected = (
        3 * np.array([4, 5, 6])[i % 3] * 0.25
        + np.array([0.5, 1.5, -2, 8])[i & 3]
        + np.array([7, 8, 9])[i % 3]
    )
    np.testing.assert_array_equal(y, expected)


@pytest.mark.usefixtures("compiler")
def test_the_example_of_the_readme_prints_its_output(capsys):
    text = (ROOT / "tools/gpu_emulator/README.md").read_text()
    code, shown = re.findall(r"```(?:python)?\n(.*?)```", text, re.DOTALL)
    exec(code, {})
    assert shown in capsys.readouterr().out
