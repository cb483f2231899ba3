import copy

import numpy as np
import pytest

from tinygrad_ckn import Tensor, checkpoint, manual_seed
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.nn import Dropout, Linear, Sequential


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_a_share_p_is_zero_and_the_others_keep_the_mean(p: float) -> None:
    y = Dropout(p, rng=0)(np.ones(100_000)).numpy()  # type: ignore[arg-type]
    assert set(np.unique(y)) == {0.0, 1 / (1 - p)}
    # five standard deviations
    assert abs((y == 0).mean() - p) < 5 * np.sqrt(p * (1 - p) / y.size)


def test_the_gradient_has_the_same_places() -> None:
    x = Tensor(np.ones((3, 4), np.float32), requires_grad=True)
    y = Dropout(0.5, rng=0)(x)
    y.sum().backward()
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.numpy(), y.numpy())
    assert y.dtype == np.float32


def test_eval_mode_and_p_0_are_the_identity_and_p_1_is_zero() -> None:
    x = Tensor(np.arange(3.0))
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x
    assert Dropout(1.0)(x).tolist() == [0.0, 0.0, 0.0]


def test_each_call_draws_anew_and_the_seed_determines_all_of_them() -> None:
    x = np.ones(64)
    layer = Dropout(rng=3)
    first, second = layer(x).numpy(), layer(x).numpy()  # type: ignore[arg-type]
    assert (first != second).any()
    again = Dropout(rng=3)
    np.testing.assert_array_equal(again(x).numpy(), first)
    np.testing.assert_array_equal(copy.deepcopy(again)(x).numpy(), second)
    manual_seed(1)
    one = Dropout()(x).numpy()
    assert (Dropout()(x).numpy() != one).any()
    manual_seed(1)
    np.testing.assert_array_equal(Dropout()(x).numpy(), one)
    # the places do not depend on the dtype
    np.testing.assert_array_equal(Dropout(rng=3)(x.astype("float32")).numpy(), first)


def test_a_checkpoint_draws_the_same_places_again_also_in_a_checkpoint() -> None:
    x = Tensor(np.linspace(1, 2, 50), requires_grad=True)
    net = Sequential(Dropout(rng=0), Dropout(0.2, rng=1))

    def inner(x: Tensor) -> Tensor:
        return net(x) * x

    y = checkpoint(lambda x: checkpoint(inner, net(x)) * net(x), x)
    y.sum().backward()
    other = Tensor(x.data, requires_grad=True)
    net = Sequential(Dropout(rng=0), Dropout(0.2, rng=1))
    plain = inner(net(other)) * net(other)
    plain.sum().backward()
    np.testing.assert_array_equal(y.numpy(), plain.numpy())
    np.testing.assert_allclose(x.grad.numpy(), other.grad.numpy(), rtol=1e-14)  # type: ignore[union-attr]


def test_options_and_names() -> None:
    assert repr(Dropout(0.25)) == "Dropout(p=0.25)"
    assert list(Sequential(Dropout(), Linear(2, 2)).state_dict()) == ["1.weight", "1.bias"]
    for wrong in (-0.1, 1.5, np.nan):
        with pytest.raises(ConfigError, match=r"Dropout: argument p expected a number in \[0, 1\]"):
            Dropout(wrong)
