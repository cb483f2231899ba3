"""CUDA's mathematical functions, compiled to polynomials and tables, against NumPy."""

import numpy as np
import pytest
import scipy.special

from tools.gpu_emulator.ptx import launch

N = 999
# expression, reference, range, tolerance in units of the last place
FUNCTIONS = {
    "exp(x)": (np.exp, (-80, 80), 2),
    "log(x)": (np.log, (1e-30, 1e30), 2),
    "sin(x)": (np.sin, (-50, 50), 2),
    # reduced by the table of 2 / pi
    "cos(x)": (np.cos, (2e10, 3e10), 2),
    "acos(x)": (np.arccos, (-1, 1), 2),
    "atan2(x, T(0.7))": (lambda x: np.arctan2(x, x.dtype.type(0.7)), (-5, 5), 3),
    "tanh(x)": (np.tanh, (-3, 3), 2),
    "erf(x)": (scipy.special.erf, (-3, 3), 3),
    "sqrt(x)": (np.sqrt, (0, 1e9), 0.5),
    "rsqrt(x)": (lambda x: 1 / np.sqrt(x), (1e-6, 1e9), 2),
    "T(1) / x": (lambda x: 1 / x, (0.1, 100), 0.5),
    "pow(x, T(2.3))": (lambda x: x ** x.dtype.type(2.3), (0.01, 100), 8),
    "cbrt(x)": (np.cbrt, (-100, 100), 2),
    "floor(x)": (np.floor, (-100, 100), 0),
    "rint(x)": (np.rint, (-100, 100), 0),
    "fmod(x, T(3))": (lambda x: np.fmod(x, x.dtype.type(3)), (-100, 100), 0),
}


@pytest.fixture(scope="module")
def library(compiler):
    kernels = [
        f"template <typename T> __global__ void f{i}(const T* a, T* y, int n) {{"
        f" int j = blockIdx.x * blockDim.x + threadIdx.x;"
        f" if (j < n) {{ T x = a[j]; y[j] = {expression}; }} }}"
        for i, expression in enumerate(FUNCTIONS)
    ]
    names = [f"f{i}<{kind}>" for i in range(len(kernels)) for kind in ("float", "double")]
    return compiler.compile("\n".join(kernels), names, options=["-std=c++17"])


@pytest.mark.parametrize("expression", FUNCTIONS)
@pytest.mark.parametrize(("kind", "dtype"), [("float", "f4"), ("double", "f8")])
def test_functions(library, expression, kind, dtype):
    oracle, (low, high), units = FUNCTIONS[expression]
    x = np.linspace(low, high, N).astype(dtype)
    y = np.zeros_like(x)
    name = library.names[f"f{list(FUNCTIONS).index(expression)}<{kind}>"]
    launch(library.ptx, name, 4, 256, [x, y, np.int32(N)])
    # more digits than either type has
    wide = x.astype("g")
    exact = (
        scipy.special.erf(x.astype("f8"))
        if "erf" in expression
        else oracle(x.astype("f8") if dtype == "f4" else wide)
    )
    assert (np.abs(y - exact) <= (units + 0.01) * np.spacing(np.abs(exact).astype(dtype))).all()


def test_special_values(run):
    source = """
    template <typename T> __global__ void f(const T* x, T* y) {
        int i = threadIdx.x;
        y[i] = exp(x[i]); y[8 + i] = sqrt(x[i]); y[16 + i] = T(1) / x[i]; y[24 + i] = log(x[i]);
    }
    """
    for kind, dtype in (("float", "f4"), ("double", "f8")):
        x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 1000.0], dtype)
        y = np.zeros(32, dtype)
        run(source, f"f<{kind}>", 1, 8, x, y)
        with np.errstate(all="ignore"):
            expected = np.concatenate([np.exp(x), np.sqrt(x), 1 / x, np.log(x)])
        np.testing.assert_allclose(y, expected, rtol=1e-6 if kind == "float" else 1e-15)


def test_subnormal_numbers_count_as_zero(run):
    source = """
    extern "C" __global__ void f(const float* x, float* y) {
        y[0] = x[0] * 4.0f; y[1] = x[1] * 0.25f; y[2] = x[0];
    }
    """
    x, y = np.array([1e-39, 2e-38], "f4"), np.ones(3, "f4")
    run(source, "f", 1, 1, x, y)
    assert y.tolist() == [0, 0, x[0]]
