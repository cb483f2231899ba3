"""value_and_grad, jacobian and hessian: of one input, of several, of a module."""

import numpy as np
import pytest

from tinygrad_ckn import Tensor, grad, hessian, jacobian, nn, ops, value_and_grad
from tinygrad_ckn.errors import DTypeError, GradientError, ShapeError

RNG = np.random.default_rng(0)
A, B = RNG.standard_normal((3, 2)), RNG.standard_normal((2, 4))


def test_values_and_gradients_are_arranged_as_the_inputs():
    value, gradient = value_and_grad(lambda x: (x**3).sum(), A)
    assert (value.item(), value.requires_grad) == (pytest.approx((A**3).sum()), False)
    np.testing.assert_allclose(gradient.numpy(), 3 * A**2)
    value, (by_a, by_b) = value_and_grad(lambda a, b: (a @ b).sum(), [A, Tensor(B)])
    np.testing.assert_allclose(by_a.numpy(), np.broadcast_to(B.sum(axis=1), A.shape))
    np.testing.assert_allclose(by_b.numpy(), np.broadcast_to(A.sum(axis=0)[:, None], B.shape))
    # The value does not depend on the second.
    assert not value_and_grad(lambda a, b: a.sum(), [A, B])[1][1].numpy().any()
    with pytest.raises(GradientError, match=r"value_and_grad: expected a function that returns"):
        value_and_grad(ops.square, A)
    with pytest.raises(DTypeError, match="expected floating arrays to differentiate at"):
        value_and_grad(lambda x: x.sum(), np.arange(3))


def test_parameters_of_a_module_by_name():
    layer = nn.Linear(2, 4, rng=0, dtype="float64")

    def loss() -> Tensor:
        return (layer(x) ** 2).sum()

    x = Tensor(A)
    value, gradients = value_and_grad(loss, layer)
    sizes = {name: p.size for name, p in layer.named_parameters()}
    assert list(gradients) == list(sizes)
    loss().backward()
    for name, parameter in layer.named_parameters():
        np.testing.assert_array_equal(gradients[name].numpy(), parameter.grad.numpy())
    assert value.item() == pytest.approx(float((layer(x).numpy() ** 2).sum()))
    found = jacobian(lambda: layer(x), layer)
    assert {name: j.shape for name, j in found.items()} == {
        name: (3, 4, *p.shape) for name, p in layer.named_parameters()
    }
    second = hessian(loss, layer)
    blocks = [[second[a][b].numpy().reshape(sizes[a], sizes[b]) for b in sizes] for a in sizes]
    # Of a sum of squares of an affine function: twice J^T J.
    rows = np.hstack([found[name].numpy().reshape(12, -1) for name in sizes])
    np.testing.assert_allclose(np.block(blocks), 2 * rows.T @ rows, atol=1e-10)


def test_hessians_of_several_inputs():
    x, y = Tensor(RNG.standard_normal(3)), Tensor(RNG.standard_normal((2,)))
    found = hessian(lambda x, y: (x**2).sum() * (y**3).sum(), [x, y])
    a, b = x.numpy(), y.numpy()
    np.testing.assert_allclose(found[0][0].numpy(), 2 * np.eye(3) * (b**3).sum(), atol=1e-12)
    np.testing.assert_allclose(found[0][1].numpy(), np.outer(2 * a, 3 * b**2))
    np.testing.assert_allclose(found[1][0].numpy(), found[0][1].numpy().T)
    np.testing.assert_allclose(found[1][1].numpy(), np.diag(6 * b * (a**2).sum()), atol=1e-12)


def test_derivatives_are_differentiable_by_what_requires_grad():
    x = Tensor(RNG.standard_normal(3), requires_grad=True)
    a = x.numpy()
    value, slope = value_and_grad(lambda x: (x**3).sum(), x, create_graph=True)
    (found,) = grad((slope**2).sum() + value, x)
    np.testing.assert_allclose(found.numpy(), 36 * a**3 + 3 * a**2)
    square = jacobian(lambda x: x**3, x, create_graph=True)
    np.testing.assert_allclose(grad(square.sum(), x)[0].numpy(), 6 * a)
    cube = hessian(lambda x: (x**3).sum(), x, create_graph=True)
    np.testing.assert_allclose(grad(cube.sum(), x)[0].numpy(), np.full(3, 6.0))
    assert not jacobian(lambda x: x**3, x).requires_grad


@pytest.mark.parametrize("n", [0, 1, 4])
def test_a_batch_at_once_is_the_diagonal_of_the_whole(n: int):
    x, w = RNG.standard_normal((n, 3)), Tensor(RNG.standard_normal((3, 2)))

    def function(x: Tensor) -> Tensor:
        return ops.tanh(x @ w)

    whole = jacobian(function, x).numpy()
    at_once = jacobian(function, x, batched=True).numpy()
    assert at_once.shape == (n, 2, 3)
    expected = [whole[i, :, i] for i in range(n)]
    np.testing.assert_allclose(at_once, np.reshape(expected, (n, 2, 3)), rtol=1e-12)


def test_a_batch_whose_examples_meet_is_refused():
    x = RNG.standard_normal((4, 3))
    with pytest.raises(GradientError, match=r"depend on that example only .*, got one that depen"):
        jacobian(lambda x: x - x.mean(axis=0), x, batched=True)
    with pytest.raises(ShapeError, match=r"a first axis of one length .* shape \(3,\) for inputs"):
        jacobian(lambda x: x.sum(axis=0), x, batched=True)


@pytest.mark.parametrize("function", [jacobian, hessian])
def test_inputs_that_are_not_in_a_list_are_refused(function):
    with pytest.raises(DTypeError, match=r"expected one input, or a list of them, got 2 arg"):
        function(lambda x, y: (x * y).sum(), A, A)
    with pytest.raises(DTypeError, match=r"expected a function of 2 arguments, one for each point"):
        function(lambda x: x.sum(), [A, A])
