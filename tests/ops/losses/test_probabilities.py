import math

import numpy as np
import pytest
import scipy.special

from tinygrad_ckn import Tensor, grad, ops

X = np.array([[-3.0, 0.5, 2.0], [1.0, 0.0, -0.25]])
T = np.array([[0.0, 1.0, 0.3], [1.0, 0.5, 0.0]])


def test_binary_cross_entropy_agrees_with_its_formula() -> None:
    s = scipy.special.expit(X)
    pos = np.array([2.0, 1.0, 0.5])
    expected = -(pos * T * np.log(s) + (1 - T) * np.log(1 - s))
    losses = ops.bce_with_logits(X, T, pos_weight=pos, reduction="none")
    np.testing.assert_allclose(losses, expected, rtol=1e-13)
    of_rows = np.array([[3.0], [0.0]])
    mean = ops.bce_with_logits(X, T, weight=of_rows, pos_weight=pos)
    np.testing.assert_allclose(mean, (of_rows * expected).mean(), rtol=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_is_accurate_where_one_minus_the_probability_rounds_to_nothing(dtype: str) -> None:
    x = Tensor([50.0, -50.0, 1000.0], requires_grad=True, dtype=dtype)
    losses = ops.bce_with_logits(x, np.array([True, False, False]), reduction="none")
    np.testing.assert_allclose(losses.numpy(), [math.exp(-50), math.exp(-50), 1000], rtol=1e-6)
    (slope,) = grad(losses.sum(), x)
    assert slope is not None
    np.testing.assert_allclose(slope.numpy(), [-math.exp(-50), math.exp(-50), 1], rtol=1e-6)
    assert losses.dtype == dtype


def test_the_divergence_agrees_with_scipy_and_of_itself_is_zero() -> None:
    p = np.array([[0.2, 0.8, 0.0], [0.5, 0.25, 0.25]])
    q = np.array([[0.3, 0.3, 0.4], [0.6, 0.2, 0.2]])
    divergence = scipy.special.rel_entr(p, q)
    np.testing.assert_allclose(ops.kl_div(np.log(q), p), divergence.mean(), rtol=1e-13)
    of_rows = ops.kl_div(np.log(q), p, reduction="batchmean")
    np.testing.assert_allclose(of_rows, divergence.sum() / 2, rtol=1e-13)
    logs = ops.kl_div(np.log(q[1:]), np.log(p[1:]), log_target=True, reduction="none")
    np.testing.assert_allclose(logs, divergence_of(p[1:], q[1:]), rtol=1e-12)
    assert abs(ops.kl_div(np.log(q), q, reduction="sum")) < 1e-15


def divergence_of(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    result: np.ndarray = p * (np.log(p) - np.log(q))
    return result


def test_the_gradient_at_a_probability_of_zero_is_infinite_not_wrong() -> None:
    p = Tensor([0.0, 1.0], requires_grad=True)
    with np.errstate(divide="ignore"):
        (slope,) = grad(ops.kl_div(np.zeros(2), p, reduction="sum"), p)
    assert slope is not None
    assert slope.tolist() == [-math.inf, 1.0]
    with np.errstate(invalid="ignore"):
        assert math.isnan(float(ops.kl_div(np.zeros(1), np.array([-0.5]))))
