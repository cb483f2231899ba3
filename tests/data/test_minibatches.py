import numpy as np
import pytest

from tinygrad_ckn import Tensor
from tinygrad_ckn.data import minibatches
from tinygrad_ckn.errors import ConfigError, DTypeError, ShapeError

X = np.arange(14).reshape(7, 2)
Y = np.arange(7)


@pytest.mark.parametrize("batch_size", [1, 3, 7, 9, np.int64(2)])
def test_all_rows_once_and_the_same_of_both(batch_size: int) -> None:
    given = list(minibatches(X, Y, batch_size=batch_size, rng=0))
    rows = np.concatenate([y for _, y in given])
    assert sorted(rows) == list(range(7))
    np.testing.assert_array_equal(np.concatenate([x for x, _ in given]), X[rows])
    assert {len(y) for _, y in given[:-1]} <= {batch_size}


def test_in_order_by_default_and_anew_in_each_epoch_of_a_generator() -> None:
    assert [y.tolist() for (y,) in minibatches(Y, batch_size=3)] == [[0, 1, 2], [3, 4, 5], [6]]
    rng = np.random.default_rng(0)
    first, second = (next(minibatches(Y, batch_size=7, rng=rng))[0].tolist() for _ in range(2))
    assert first != second
    assert next(minibatches(Y, batch_size=7, rng=0))[0].tolist() == first


def test_a_last_batch_that_is_shorter_can_be_left_out() -> None:
    left = [y.tolist() for (y,) in minibatches(Y, batch_size=3, drop_last=True)]
    assert left == [[0, 1, 2], [3, 4, 5]]
    # with an order, other rows are left out each time
    out = set()
    for seed in range(20):
        kept = [y for (y,) in minibatches(Y, batch_size=3, rng=seed, drop_last=True)]
        out |= {*range(7)} - {*np.concatenate(kept)}
    assert len(out) > 3
    assert list(minibatches(Y[:2], batch_size=3, drop_last=True)) == []


def test_tensors_stay_tensors_and_no_rows_no_batch() -> None:
    x = Tensor(X.astype(float), requires_grad=True)
    for batch, _ in minibatches(x, Y, batch_size=3):
        batch.sum().backward()
    assert x.grad is not None
    assert (x.grad.numpy() == 1).all()
    assert list(minibatches(X[:0], batch_size=3)) == []


def test_wrong_arguments_are_refused_before_the_first_batch() -> None:
    with pytest.raises(ShapeError, match=r"same number of rows, got shapes \(7, 2\), \(6,\)"):
        minibatches(X, Y[:6], batch_size=2)
    with pytest.raises(ShapeError, match=r"got shapes \(\)"):
        minibatches(np.array(1.0), batch_size=2)
    with pytest.raises(DTypeError, match=r"argument arrays\[1\] expected an array"):
        minibatches(X, [1, 2], batch_size=2)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="expected at least one array, got none"):
        minibatches(batch_size=2)
    for wrong in (0, 1.5, True):
        with pytest.raises(ConfigError, match="batch_size expected an integer >= 1"):
            minibatches(X, batch_size=wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="argument rng expected a seed"):
        minibatches(X, batch_size=2, rng="a")  # type: ignore[arg-type]
