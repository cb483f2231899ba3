"""`RawModule` of the stand-in compiles, launches and refuses as CuPy and the driver do."""

import numpy as np
import pytest

from tools.gpu_emulator import ptx
from tools.gpu_emulator.standin import COUNTERS, CUPY
from tools.gpu_emulator.standin.cuda import CUDADriverError

xp = CUPY
SCALE = """
template <typename T> __global__ void scale(T* x, T factor, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) x[i] *= factor;
}
template <typename T> __global__ void reversed(T* x) {
    extern __shared__ char memory[];
    T* shared = reinterpret_cast<T*>(memory);
    shared[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    x[threadIdx.x] = shared[blockDim.x - 1 - threadIdx.x];
}
"""
PLAIN = (
    'extern "C" __global__ void fill(double* x, bool yes, long long n) '
    "{ x[threadIdx.x] = yes ? n : 0; }"
)
pytestmark = pytest.mark.usefixtures("standin")


@pytest.fixture
def module():
    expressions = ("scale<float>", "scale<double>", "reversed<double>")
    return xp.RawModule(code=SCALE, options=("-std=c++17",), name_expressions=expressions)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_kernel_writes_where_the_array_is(module, dtype):
    x = xp.arange(10).astype(dtype)
    kernel = module.get_function("scale<float>" if dtype == "float32" else "scale<double>")
    COUNTERS.clear()
    kernel((2,), (4,), (x[1:], x.dtype.type(3), np.int32(7)))
    assert COUNTERS.launches == [kernel.name]
    assert x.tolist() == [0, 3, 6, 9, 12, 15, 18, 21, 8, 9]


def test_dynamic_shared_memory(module):
    x = xp.arange(8.0)
    module.get_function("reversed<double>")((1,), (8,), (x,), shared_mem=64)
    assert x.tolist() == [7, 6, 5, 4, 3, 2, 1, 0]


def test_a_kernel_without_a_template_and_numbers_of_python():
    x = xp.zeros(3)
    xp.RawKernel(PLAIN, "fill")((1,), (3,), (x, True, 7))
    assert x.tolist() == [7, 7, 7]


@pytest.mark.parametrize(
    "arguments",
    [
        # not of the parameter's size
        (xp.zeros(4), np.float32(2), np.int32(4)),
        # an int is an int64
        (xp.zeros(4), 2.0, 4),
        (xp.zeros(4), 2.0),
    ],
)
def test_arguments_of_other_types_are_refused(module, arguments):
    with pytest.raises((ptx.PTXError, TypeError)):
        module.get_function("scale<double>")((1,), (4,), arguments)


@pytest.mark.parametrize("argument", [np.zeros(4), [1.0], "four", np.array(4.0)])
def test_host_arrays_are_refused_as_arguments(module, argument):
    with pytest.raises(TypeError, match="argument 0: Unsupported type"):
        module.get_function("scale<double>")((1,), (4,), (argument, 2.0, np.int32(4)))


@pytest.mark.parametrize(
    ("grid", "block", "shared"),
    [
        ((0,), (32,), 0),
        ((2**31,), (32,), 0),
        ((1, 65536), (32,), 0),
        ((1,), (1025,), 0),
        ((1,), (64, 32), 0),
        ((1,), (1, 1, 65), 0),
        ((1,), (0,), 0),
        ((1,), (32,), 48 * 1024 + 1),
    ],
)
def test_launches_beyond_the_limits_are_refused(module, grid, block, shared):
    with pytest.raises(CUDADriverError, match="CUDA_ERROR_INVALID_VALUE: scale<double>"):
        module.get_function("scale<double>")(
            grid, block, (xp.zeros(4), 2.0, np.int32(0)), shared_mem=shared
        )


def test_more_shared_memory_must_be_requested(module):
    kernel = module.get_function("reversed<double>")
    kernel.max_dynamic_shared_size_bytes = 100_000
    kernel((1,), (2,), (xp.zeros(2),), shared_mem=100_000)
    with pytest.raises(CUDADriverError):
        kernel((1,), (2,), (xp.zeros(2),), shared_mem=100_001)


def test_unknown_kernels_and_wrong_modules(module):
    with pytest.raises(CUDADriverError, match="named symbol not found: scale<int>"):
        module.get_function("scale<int>")
    with pytest.raises(TypeError, match="Exactly one of `code` and `path`"):
        xp.RawModule()
    with pytest.raises(ValueError, match="-std="):
        xp.RawModule(code=SCALE, name_expressions=("scale<float>",))


def test_errors_of_the_interpreter_are_raised(module):
    with pytest.raises(ptx.PTXError):
        # past the end of the array
        module.get_function("scale<double>")((1,), (8,), (xp.zeros(4), 2.0, np.int32(8)))
