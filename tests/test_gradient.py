import numpy as np
import pytest

from tinygrad_ckn import Tensor, grad
from tinygrad_ckn.errors import GradientError


def leaf(*values, dtype=None):
    return Tensor(np.array(values, dtype=dtype), requires_grad=True)


@pytest.mark.parametrize("bad", [np.ones(3), np.ones(2) * 1j])
def test_gradient_of_another_shape_or_kind_is_refused(bad):
    with pytest.raises(
        GradientError, match=r"argument gradient expected real numbers of the output's shape \(2,\)"
    ):
        (leaf(1.0, 2.0) * 2).backward(bad)


def test_scalar_is_needed_without_a_gradient():
    with pytest.raises(
        GradientError, match=r"expected an array of the output's shape \(2,\), got None"
    ):
        (leaf(1.0, 2.0) * 2).backward()


def test_output_that_depends_on_nothing_is_refused():
    with pytest.raises(GradientError, match="depends on a tensor with requires_grad=True"):
        Tensor([1.0]).sum().backward()


def test_grad_returns_none_where_nothing_depends():
    x, other = leaf(1.0), leaf(2.0)
    assert grad((x * x).sum(), [x, other])[1] is None


def test_grad_leaves_the_grads_alone():
    x = leaf(1.0)
    grad((x * x).sum(), x)
    assert x.grad is None


def test_grad_of_a_result_on_the_way():
    x = leaf(2.0)
    h = x * x
    dh, dx = grad((h * h).sum(), [h, x])
    assert dh.item() == 8.0
    assert dx.item() == 32.0


def test_grad_wants_tensors_that_require_grad():
    with pytest.raises(
        GradientError, match=r"inputs\[0\] expected a Tensor with requires_grad=True"
    ):
        grad(leaf(1.0).sum(), Tensor([1.0]))


def test_recorded_gradient_takes_the_dtype_of_the_output():
    x = leaf(1.0, 2.0, dtype="float32")
    (g,) = grad(x * x, x, gradient=Tensor([1, 1]), create_graph=True)
    assert g.dtype == "float32"


@pytest.mark.parametrize("output", [3.0, np.ones(2)])
def test_grad_wants_a_tensor(output):
    with pytest.raises(GradientError, match="expected an output that depends on a tensor"):
        grad(output, leaf(1.0))
    with pytest.raises(
        GradientError, match=r"inputs\[0\] expected a Tensor with requires_grad=True, got None"
    ):
        grad(leaf(1.0).sum(), None)
