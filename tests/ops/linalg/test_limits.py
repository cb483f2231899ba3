import numpy as np
import pytest

from tinygrad_ckn import Tensor, grad, ops
from tinygrad_ckn.ops.linalg.limits import (
    Slopes,
    quotient_of_each,
    quotient_of_pairs,
    quotient_of_vectors,
    slopes_of,
    without_derivative,
)

all_alike = np.ones((3, 3), bool)
stay_0 = np.ones(3, bool)


def slopes(h):
    return Slopes(np.asarray(h, float), all_alike, stay_0)


def test_the_quotient_of_differences_is_the_slope_where_values_meet():
    w = np.array([1.0, 1.0, 2.0])
    # g = w^3
    found = quotient_of_pairs(w**3, w, slopes(np.diag(3 * w**2)), -1)
    assert np.allclose(found, [[0, 3, 7], [3, 0, 7], [7, 7, 0]])


def test_the_quotient_of_sums_is_the_slope_where_both_are_0():
    s = np.array([2.0, 0.0, 0.0])
    # g = sin s
    found = quotient_of_pairs(np.sin(s), s, slopes(np.diag(np.cos(s))), 1)
    half = np.sin(2.0) / 2
    assert np.allclose(found, [[0, half, half], [half, 0, 1], [half, 1, 0]])
    assert np.allclose(quotient_of_each(np.sin(s), s, slopes(np.diag(np.cos(s)))), [half, 1, 1])


def test_without_a_limit_it_is_nan():
    w, g = np.array([1.0, 1.0, 2.0]), np.array([1.0, 2.0, 3.0])
    found = quotient_of_pairs(g, w, slopes(np.zeros((3, 3))), -1)
    assert np.isnan(found[0, 1])
    assert np.isfinite(found[0, 2])
    s = np.array([2.0, 1.0, 0.0])
    assert np.isnan(quotient_of_each(np.ones(3), s, slopes(np.zeros((3, 3))))[2])
    found = Slopes(np.eye(3), all_alike, np.array([True, True, False]))
    assert np.isnan(quotient_of_each(np.zeros(3), s, found)).tolist() == [False, False, True]
    # the kink of a single value
    assert np.isnan(quotient_of_pairs(np.ones(3), s, slopes(np.zeros((3, 3))), 1)[2, 2])


@pytest.mark.parametrize("gap", [1e-3, 1e-5, 1e-7, 1e-9, 1e-11, 1e-13, 1e-15])
def test_between_limit_and_quotient_no_digits_are_lost(gap):
    w = np.array([1.0, 1.0 + gap, 2.0])
    found = quotient_of_pairs(np.exp(w), w, slopes(np.diag(np.exp(w))), -1)
    exact = np.exp(w[0]) * np.expm1(w[1] - w[0]) / (w[1] - w[0])
    assert abs(found[0, 1] - exact) < 1e-7


def test_a_numerator_of_0_gives_0_for_vectors():
    gap = np.array([[0.0, 1.0], [1.0, 0.0]])
    values = np.array([1.0, 1.0])
    found = quotient_of_vectors(np.zeros((2, 2)), gap, values)
    assert np.array_equal(found, np.zeros((2, 2)))
    assert np.isnan(quotient_of_vectors(np.ones((2, 2)), gap, values)).tolist() == [
        [True, False],
        [False, True],
    ]


def test_slopes_are_found_by_a_backward_to_the_values():
    x = Tensor([1.0, 1.0, 3.0], requires_grad=True)
    c = Tensor(2.0, requires_grad=True)
    w = x * 1
    (g,) = grad((c * w**3).sum(), w, create_graph=True)
    found = slopes_of(g, w)
    assert np.allclose(found.derivative, np.diag([12.0, 12.0, 0.0]))
    assert found.alike.all()
    # here two that are equal depend differently on c
    (g,) = grad((c * w**3 * np.array([1.0, 2.0, 1.0])).sum(), w, create_graph=True)
    assert not slopes_of(g, w).alike[0, 1]
    assert slopes_of(g.detach(), w.detach()) is None


def test_slopes_are_not_asked_for_where_no_values_meet():
    x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    w = x * 1
    (g,) = grad((w**3).sum(), w, create_graph=True)
    assert slopes_of(g, w) is None
    zero = x * np.array([0.0, 1.0, 1.0])
    (g,) = grad((zero**2).sum(), zero, create_graph=True)
    assert slopes_of(g, zero) is None
    assert slopes_of(g, zero, zero=True).vanishes.all()


def test_a_gradient_that_reaches_values_without_derivative_is_nan():
    a = Tensor(np.ones((2, 2)), requires_grad=True)
    y = without_derivative(np.arange(3.0)[None], a)
    assert y.tolist() == [[0.0, 1.0, 2.0]]
    (g,) = grad(y.sum() + a.sum(), a)
    assert np.isnan(g.numpy()).all()
    y = without_derivative(np.arange(3.0)[None], a)
    (g,) = grad((y * 0).sum() + ops.square(a).sum(), a)
    assert np.array_equal(g.numpy(), 2 * np.ones((2, 2)))
