"""Options of gradcheck: reports, tolerances, determinism, keyword and unchecked arguments."""

import numpy as np
import pytest

from tinygrad_ckn import Tensor, nn, ops
from tinygrad_ckn.backend import Array
from tinygrad_ckn.errors import (
    ConfigError,
    DTypeError,
    GradientError,
)
from tinygrad_ckn.testing import check_jvp, check_module, gradcheck, gradgradcheck

x = np.array([[0.5, -1.0, 2.0], [1.5, 0.3, -0.7]])


def cube(xp, x: Array):
    return x * x * x


def square(xp, x: Array):
    return x * x


def test_a_report_instead_of_an_error(op):
    wrong = op(cube, x=lambda g, x: 3.01 * g * x * x)
    report = gradcheck(wrong, x, raise_exception=False)
    assert not report
    assert report.verdict == "wrong"
    assert str(report) == report.message
    assert "element" in report.message
    assert not gradgradcheck(wrong, x, raise_exception=False)
    assert not check_jvp(wrong, x, raise_exception=False)
    assert gradcheck(ops.abs, np.zeros(2), raise_exception=False).verdict == "not differentiable"
    assert bool(gradcheck(ops.exp, x, raise_exception=False))
    # a wrong call, not a wrong gradient
    with pytest.raises(DTypeError):
        gradcheck(ops.exp, np.array([1]), raise_exception=False)


def test_tolerances_of_pytorch(op):
    wrong = op(cube, x=lambda g, x: 3 * g * x * x + 1e-3 * g)
    assert not gradcheck(wrong, x, raise_exception=False)
    assert gradcheck(wrong, x, atol=2e-3)
    assert not gradcheck(wrong, x, atol=1e-4, raise_exception=False)
    assert gradcheck(wrong, x, rtol=1e-1)
    assert gradcheck(wrong, x, eps=1e-6, atol=1e-5, rtol=1e-1)
    with pytest.raises(ConfigError, match="tolerance or rtol, which are the same, got both"):
        gradcheck(ops.exp, x, rtol=1e-3, tolerance=1e-3)
    with pytest.raises(ConfigError, match="argument eps expected a number > 0, got 0"):
        gradcheck(ops.exp, x, eps=0.0)
    with pytest.raises(ConfigError, match="argument atol expected a number >= 0, got -1"):
        gradcheck(ops.exp, x, atol=-1.0)


@pytest.mark.parametrize("eps", [1e-12, 1e-6, 1e-1, 1e3])
def test_a_bad_first_step_is_mended(eps):
    assert gradcheck(lambda t: ops.sin(3 * t), x, eps=eps, order=2)


def test_nondet_tol():
    random = np.random.default_rng(0)

    def shaky(t):
        return t * t + 1e-12 * random.standard_normal(t.shape)

    with pytest.raises(
        GradientError, match=r"expected the same result twice, got two; .* nondet_tol="
    ):
        gradcheck(shaky, x)
    assert gradcheck(shaky, x, nondet_tol=1e-10)


def test_a_rule_of_chance_is_told(op):
    random = np.random.default_rng(0)
    shaky = op(square, x=lambda g, x: 2 * g * x * (1 + 1e-12 * random.standard_normal()))
    with pytest.raises(
        GradientError, match="gradient of argument 0 expected the same values twice"
    ):
        gradcheck(shaky, x)
    assert gradcheck(shaky, x, nondet_tol=1e-9)


def test_keyword_arguments_are_passed_and_checked(op):
    def product(xp, a: Array, b: Array):
        return a * b

    wrong = op(product, broadcasts=True, a=lambda g, b: g * b, b=lambda g, a: g * a * 1.01)
    assert gradcheck(ops.sum, x, kwargs={"axis": 0, "keepdims": True}, order=2)
    with pytest.raises(GradientError, match="gradient of argument scale"):
        gradcheck(lambda t, *, scale: wrong(t, scale), x, kwargs={"scale": x + 1})
    assert check_module(nn.Linear(3, 2, rng=0), kwargs={"x": x})


def test_tensors_without_requires_grad_beside_one_that_requires_it_are_left_unchecked(op):
    def product(xp, a: Array, b: Array):
        return a * b

    wrong = op(product, broadcasts=True, a=lambda g, b: g * b, b=lambda g, a: g * a * 1.01)
    fixed, free = Tensor(x + 1), Tensor(x, requires_grad=True)
    assert len(gradcheck(wrong, [free, fixed]).comparisons) == 1
    with pytest.raises(GradientError, match="gradient of argument 1"):
        gradcheck(wrong, [Tensor(x), fixed])
    with pytest.raises(GradientError, match="gradient of argument 1"):
        gradcheck(wrong, [free, x + 1])
    assert free.grad is None


def test_integer_outputs_are_left_out_and_alone_refused():
    assert gradcheck(lambda t: (t.max(axis=0), ops.argmax(t, axis=0)), x, order=2)
    with pytest.raises(DTypeError, match="got nothing but integers or booleans"):
        gradcheck(lambda t: ops.argmax(t, axis=0), x)
