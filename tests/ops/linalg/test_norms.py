import math

import numpy as np
import pytest

from tinygrad_ckn import Tensor, grad, linalg, ops
from tinygrad_ckn.errors import ConfigError, ShapeError

random = np.random.default_rng(0)
x = random.normal(size=(2, 3, 4))
ORDERS = ["fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf]


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2)], ids=str)
@pytest.mark.parametrize("ord", [0, 0.5, 1, 2, 3, -1, math.inf, -math.inf])
def test_norms_of_vectors_are_numpys(ord, axis, keepdims):
    options = {"axis": axis, "ord": ord, "keepdims": keepdims}
    assert np.allclose(linalg.vector_norm(x, **options), np.linalg.vector_norm(x, **options))


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("ord", ORDERS)
def test_norms_of_matrices_are_numpys(ord, keepdims):
    options = {"ord": ord, "keepdims": keepdims}
    assert np.allclose(linalg.matrix_norm(x, **options), np.linalg.matrix_norm(x, **options))
    options["axis"] = (2, 0)
    assert np.allclose(linalg.norm(x, **options), np.linalg.norm(x, **options))


@pytest.mark.parametrize(
    "call",
    [
        lambda f: f(x),
        lambda f: f(x[0], 1),
        lambda f: f(x[0, 0], 3),
        lambda f: f(x, None, (0, 1)),
        lambda f: f(x, math.inf, 1, True),
        lambda f: f(x[0], "nuc"),
    ],
)
def test_norm_takes_numpys_arguments(call):
    assert np.allclose(call(linalg.norm), call(np.linalg.norm))


@pytest.mark.parametrize("p", [None, *ORDERS])
def test_condition_numbers_are_numpys(p):
    assert np.allclose(linalg.cond(x[..., :3], p), np.linalg.cond(x[..., :3], p))


@pytest.mark.parametrize("ord", [1, 1.5, 2, 3, math.inf])
def test_the_gradient_at_the_zero_vector_is_0(ord):
    v = Tensor(np.zeros((2, 3)), requires_grad=True)
    (g,) = grad(linalg.vector_norm(v, axis=1, ord=ord).sum(), v)
    assert not g.numpy().any()


def test_the_number_of_nonzero_elements_has_the_dtype_and_no_gradient():
    v = Tensor(np.array([0.0, 2.0, 0.0], "float32"), requires_grad=True)
    count = linalg.vector_norm(v, ord=0)
    assert (count.item(), count.dtype, count.requires_grad) == (1.0, np.dtype("float32"), False)


def test_orders_that_there_are_not():
    with pytest.raises(ConfigError, match="matrix_norm: argument ord expected 'fro', 'nuc', 1"):
        linalg.matrix_norm(x, ord=3)
    with pytest.raises(ConfigError, match="vector_norm: argument ord expected a number, got 'fro'"):
        linalg.vector_norm(x, ord="fro")
    with pytest.raises(ShapeError, match="norm: argument ord expected None for 3 axes, got 1"):
        linalg.norm(x, 1)
    with pytest.raises(ShapeError, match="cond: argument x expected square matrices"):
        linalg.cond(x, 1)


def test_the_frobenius_norm_is_the_norm_of_all_elements():
    assert np.allclose(linalg.matrix_norm(x), ops.norm(x, axis=(1, 2)))
