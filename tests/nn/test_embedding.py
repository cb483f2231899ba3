import numpy as np
import pytest

from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.nn import Embedding


@pytest.mark.parametrize("dtype", ["int64", "int8", "uint8"])
def test_rows_by_number_and_the_sum_of_their_gradients(dtype: str) -> None:
    layer = Embedding(4, 2, rng=0, dtype="float64")
    numbers = np.array([[1, 3, 1], [0, 1, 1]], dtype)
    y = layer(numbers)
    np.testing.assert_array_equal(y.numpy(), layer.weight.numpy()[numbers])
    u = np.random.default_rng(0).normal(size=y.shape)
    (y * u).sum().backward()
    expected = np.zeros((4, 2))
    np.add.at(expected, numbers, u)
    assert layer.weight.grad is not None
    np.testing.assert_allclose(layer.weight.grad.numpy(), expected, rtol=1e-14)


def test_no_number_and_a_single_one() -> None:
    layer = Embedding(1, 3, rng=0)
    assert layer(np.zeros((0, 5), int)).shape == (0, 5, 3)
    assert layer(np.array(0)).shape == (3,)
    assert repr(layer) == "Embedding(1, 3)  weight (1, 3)  3"
    with pytest.raises(ConfigError, match="Embedding: argument embedding_dim expected an integer"):
        Embedding(1, 0)
