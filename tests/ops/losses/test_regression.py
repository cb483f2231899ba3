import numpy as np
import pytest

from tinygrad_ckn import Tensor, grad, ops

D = np.array([-3.0, -0.5, 0.0, 0.25, 2.0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_huber_is_a_parabola_and_then_two_lines(dtype: str) -> None:
    x = Tensor(D, requires_grad=True, dtype=dtype)
    losses = ops.huber(x, np.zeros(5, dtype), delta=0.5, reduction="none")
    np.testing.assert_allclose(losses.numpy(), [1.375, 0.125, 0.0, 0.03125, 0.875])
    (slope,) = grad(losses.sum(), x)
    assert slope is not None
    assert slope.tolist() == [-0.5, -0.5, 0.0, 0.25, 0.5]
    assert losses.dtype == slope.dtype == dtype
    assert ops.huber(x, np.zeros(5, dtype), delta=0.5).item() == pytest.approx(2.40625 / 5)


def test_the_squared_error_agrees_with_its_formula() -> None:
    assert ops.mse(D, np.ones(5)) == np.mean((D - 1) ** 2)
