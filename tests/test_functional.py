import weakref

import numpy as np
import pytest

from tinygrad_ckn import (
    Tensor,
    checkpoint,
    detect_anomaly,
    grad,
    hessian,
    hvp,
    jacobian,
    jvp,
    ops,
    vjp,
)
from tinygrad_ckn.errors import DTypeError, GradientError, ShapeError

a, b = np.array([0.5, -1.0, 2.0]), np.array([1.0, 3.0, -2.0])


def product(x, y):
    return ops.sin(x) * y


def test_vjp_and_jvp_are_those_of_the_written_out_jacobian():
    g = np.array([1.0, -2.0, 0.5])
    value, (gx, gy) = vjp(product, [a, b], g)
    assert np.allclose(value.numpy(), np.sin(a) * b)
    assert np.allclose(gx.numpy(), g * np.cos(a) * b)
    assert np.allclose(gy.numpy(), g * np.sin(a))
    _, tangent = jvp(product, [a, b], [b, a])
    assert np.allclose(tangent.numpy(), np.cos(a) * b * b + np.sin(a) * a)


def test_results_that_do_not_depend_give_zeros():
    assert vjp(lambda x: Tensor(1.0), a)[1][0].tolist() == [0, 0, 0]
    assert jvp(lambda x: Tensor([1.0, 2.0]), a, b)[1].tolist() == [0, 0]
    assert hvp(lambda x: x.sum(), a, b)[1][0].tolist() == [0, 0, 0]
    assert jacobian(lambda x: Tensor([1.0]), a).tolist() == [[0, 0, 0]]


def test_jacobian_and_hessian_of_several_axes():
    x = np.arange(4.0).reshape(2, 2)
    j = jacobian(lambda x: x @ x, x)
    assert j.shape == (2, 2, 2, 2)
    e = np.zeros((2, 2))
    e[0, 1] = 1
    assert np.allclose(j.numpy()[:, :, 0, 1], e @ x + x @ e)
    h = hessian(lambda x: (x**3).sum() + x[0, 0] * x[1, 1], x).numpy()
    expected = np.diag(6 * x.ravel())
    expected[0, 3] = expected[3, 0] = 1
    assert np.allclose(h.reshape(4, 4), expected)


def test_hvp_equals_hessian_times_vector():
    def f(x):
        return ops.exp(x).sum() * ops.sin(x).sum()

    assert np.allclose(hvp(f, a, b)[1][0].numpy(), hessian(f, a).numpy() @ b)


@pytest.mark.parametrize("function", [jvp, hvp])
def test_vectors_of_other_shapes_are_refused(function):
    with pytest.raises(ShapeError, match=r"expected 1 arrays of shapes \[\(3,\)\], got \[\(2,\)\]"):
        function(lambda x: x.sum(), a, np.ones(2))
    with pytest.raises(ShapeError, match="expected 1 arrays of shapes"):
        function(lambda x: x.sum(), a, [a, b])


def test_checkpoint_gives_the_gradients_of_arguments_and_of_what_it_closes_over():
    x, w, h0 = (Tensor(v, requires_grad=True) for v in (a, b, a))
    h = ops.exp(h0)

    def block(x):
        return ops.tanh(x * w) * h

    plain = grad(block(x * 2).sum(), [x, w, h0], retain_graph=True)
    again = grad(checkpoint(block, x * 2).sum(), [x, w, h0])
    for p, q in zip(plain, again, strict=True):
        assert np.allclose(p.numpy(), q.numpy())


def test_checkpoint_does_not_count_twice_what_an_argument_shares_with_the_closure():
    w = Tensor(a, requires_grad=True)

    def run(through):
        return grad(through(lambda x: x * w, w * w).sum(), w)[0].numpy()

    assert np.allclose(run(checkpoint), run(lambda f, *args: f(*args)))


def test_second_derivatives_through_a_checkpoint():
    x = Tensor(a, requires_grad=True)
    (g,) = grad(checkpoint(lambda x: ops.exp(ops.sin(x)), x).sum(), x, create_graph=True)
    (gg,) = grad(g.sum(), x)
    assert np.allclose(gg.numpy(), np.exp(np.sin(a)) * (np.cos(a) ** 2 - np.sin(a)))


def test_checkpoint_keeps_nothing_of_what_it_computes():
    kept = []

    def block(x):
        inner = ops.exp(x)
        kept.append(weakref.ref(inner))
        return ops.exp(inner)

    x = Tensor(a, requires_grad=True)
    y = checkpoint(block, x)
    assert kept[0]() is None
    y.sum().backward()
    assert len(kept) == 2


def test_checkpoint_frees_its_function_and_notices_assigned_data():
    x = Tensor(a, requires_grad=True)
    y = checkpoint(ops.exp, x).sum()
    x.data = b
    with pytest.raises(GradientError, match="'checkpoint'"):
        y.backward()
    y = checkpoint(ops.exp, x).sum()
    y.backward()
    with pytest.raises(GradientError, match="freed"):
        y.backward()


def test_checkpoint_of_what_returns_no_tensor_or_its_argument():
    x = Tensor(a, requires_grad=True)
    assert checkpoint(lambda x: x, x) is x
    with pytest.raises(GradientError, match="return one Tensor, got tuple"):
        checkpoint(lambda x: (x, x), x)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_anomaly_names_the_operation_and_the_line():
    x = Tensor([1.0, 0.0], requires_grad=True)
    with (
        detect_anomaly(),
        pytest.raises(GradientError, match=r"forward of 'log', called at .*test_functional.py:\d+"),
    ):
        ops.log(x)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_anomaly_names_the_rule():
    x = Tensor([1.0, 0.0], requires_grad=True)
    with detect_anomaly():
        y = ops.sqrt(x).sum()
        with pytest.raises(
            GradientError,
            match=r"rule of 'sqrt' \(forward at .*test_functional.py:\d+\) for operand 0",
        ):
            y.backward()


@pytest.mark.parametrize(
    "function", [vjp, lambda f, x: jvp(f, x, x), lambda f, x: hvp(f, x, x), jacobian, hessian]
)
def test_functions_must_return_one_tensor_of_floating_points(function):
    with pytest.raises(GradientError, match="return one Tensor, got tuple"):
        function(lambda x: (x, x), a)
    with pytest.raises(DTypeError, match="floating arrays to differentiate at, got int64"):
        function(lambda x: x.sum(), np.array([1, 2]))


def test_a_point_may_be_a_list_of_numbers():
    assert jacobian(ops.square, [1.0, 2.0]).tolist() == [[2, 0], [0, 4]]
