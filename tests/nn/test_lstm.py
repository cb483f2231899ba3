import numpy as np
import pytest
import scipy.special

from tinygrad_ckn import Tensor
from tinygrad_ckn.errors import ShapeError
from tinygrad_ckn.nn import LSTM

X = np.random.default_rng(0).normal(size=(5, 2, 3))


def by_hand(layer: LSTM, k: int, x: np.ndarray, h: np.ndarray, c: np.ndarray) -> list[np.ndarray]:
    w, u = (getattr(layer, f"weight_{name}_l{k}").numpy() for name in ("ih", "hh"))
    b = sum(getattr(layer, f"bias_{name}_l{k}").numpy() for name in ("ih", "hh"))
    result = []
    for step in x:
        i, f, z, o = np.split(step @ w.T + h @ u.T + b, 4, axis=1)
        sigmoid = scipy.special.expit
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(z)
        h = sigmoid(o) * np.tanh(c)
        result.append(h)
    return [np.array(result), h, c]


def test_two_layers_agree_with_the_formulas() -> None:
    layer = LSTM(3, 4, num_layers=2, rng=0, dtype="float64")
    h0, c0 = np.random.default_rng(1).normal(size=(2, 2, 2, 4))
    y, (h, c) = layer(Tensor(X), (Tensor(h0), Tensor(c0)))
    middle, h_first, c_first = by_hand(layer, 0, X, h0[0], c0[0])
    expected, h_last, c_last = by_hand(layer, 1, middle, h0[1], c0[1])
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(h.numpy(), [h_first, h_last], rtol=1e-12)
    np.testing.assert_allclose(c.numpy(), [c_first, c_last], rtol=1e-12)


def test_batch_first_swaps_the_axes_of_sequences_only() -> None:
    first, other = (LSTM(3, 4, batch_first=flag, rng=0, dtype="float64") for flag in (True, False))
    y, (h, c) = first(Tensor(X.swapaxes(0, 1)))
    z, (h_other, c_other) = other(Tensor(X))
    np.testing.assert_array_equal(y.numpy().swapaxes(0, 1), z.numpy())
    np.testing.assert_array_equal(h.numpy(), h_other.numpy())
    np.testing.assert_array_equal(c.numpy(), c_other.numpy())


def test_a_sequence_in_two_pieces_is_the_sequence() -> None:
    layer = LSTM(3, 4, rng=0, dtype="float64", bias=False)
    whole, _ = layer(Tensor(X))
    one, state = layer(Tensor(X[:2]))
    two, _ = layer(Tensor(X[2:]), state)
    np.testing.assert_allclose(
        np.concatenate([one.numpy(), two.numpy()]), whole.numpy(), rtol=1e-13
    )


def test_shapes_and_names() -> None:
    layer = LSTM(3, 4, num_layers=2, rng=0)
    assert repr(layer).startswith("LSTM(3 -> 4, num_layers=2)  weight_ih_l0 (16, 3)")
    bound = 1 / np.sqrt(4)
    assert all(abs(p.numpy()).max() <= bound for p in layer.parameters())
    with pytest.raises(ShapeError, match=r"expected \(h, c\), each of shape \(2, 2, 4\), got"):
        layer(X.astype("float32"), (np.zeros((1, 2, 4)), np.zeros((1, 2, 4))))  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match=r"expected shape \(N, T, 3\) with T >= 1, got \(2, 3\)"):
        LSTM(3, 4, batch_first=True)(np.zeros((2, 3)))  # type: ignore[arg-type]
