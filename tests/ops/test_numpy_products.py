"""NumPy's products and diagonals against NumPy, on stacks too, and their gradients."""

import numpy as np
import pytest

from tinygrad_ckn import Tensor, ops
from tinygrad_ckn.errors import DTypeError, ShapeError
from tinygrad_ckn.testing import gradcheck

x = np.random.default_rng(0).normal(size=(2, 3, 4))
y = np.random.default_rng(1).normal(size=(5, 4))
CALLS = {
    "trace": np.trace,
    "trace of others": lambda t: np.trace(t, 1, axis1=-1, axis2=1),
    "diagonal": np.diagonal,
    "diagonal of others": lambda t: np.diagonal(t, -1, 2, 0),
    "outer": lambda t: np.outer(t[0], t[1]),
    "inner": lambda t: np.inner(t, y),
    "inner of numbers": lambda t: (
        np.inner(t, y[0, 0]) if isinstance(t, np.ndarray) else t * y[0, 0]
    ),
    "vdot": lambda t: np.vdot(t[0], x[1].T),
}


@pytest.mark.parametrize("name", CALLS)
def test_numpys_functions_on_tensors(name):
    found = CALLS[name](Tensor(x, requires_grad=True))
    assert found.requires_grad
    assert np.allclose(found.numpy(), CALLS[name](x))
    gradcheck(CALLS[name], x, order=2)


def test_the_standards_take_the_last_axes():
    assert np.allclose(ops.trace(x), np.linalg.trace(x))
    assert np.trace(Tensor(x)).shape == (4,)
    assert ops.trace(Tensor(x)).shape == (2,)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: np.trace(Tensor(x), 0, 1, 1), ShapeError, "diagonal: argument axis"),
        (lambda: ops.vdot(x, y), ShapeError, "vdot: expected arrays of one size, got 24 and 20"),
        (lambda: ops.inner(x, x.T), ShapeError, "tensordot"),
        (lambda: ops.inner(x, [1.0]), DTypeError, "inner: argument b expected an array"),
    ],
)
def test_bad_arguments_get_a_sentence(call, error, match):
    with pytest.raises(error, match=match):
        call()
