import numpy as np
import pytest

from tinygrad_ckn import Tensor, grad, ops
from tinygrad_ckn.errors import GradientError

SCORES = np.random.default_rng(0).normal(size=(4, 3))
LABELS = np.array([2, 0, 2, 1])
OF_CLASSES = np.array([0.5, 2.0, 3.0])


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weight", [None, OF_CLASSES])
def test_nll_of_log_softmax_is_cross_entropy(reduction: str, weight: np.ndarray | None) -> None:
    x = Tensor(SCORES, requires_grad=True)
    options = {"weight": weight, "reduction": reduction}
    ours = ops.nll(ops.log_softmax(x), LABELS, **options)  # type: ignore[arg-type]
    other = ops.cross_entropy(x, LABELS, **options)  # type: ignore[arg-type]
    np.testing.assert_allclose(ours.numpy(), other.numpy(), rtol=1e-14)
    slopes = [grad(y.sum(), x)[0].numpy() for y in (ours, other)]  # type: ignore[union-attr]
    np.testing.assert_allclose(*slopes, rtol=1e-12, atol=1e-15)


def test_the_mean_is_divided_by_the_weights_of_the_labels() -> None:
    logs = ops.log_softmax(SCORES)
    w = OF_CLASSES[LABELS]
    expected = -(w * logs[np.arange(4), LABELS]).sum() / w.sum()
    np.testing.assert_allclose(ops.nll(logs, LABELS, weight=OF_CLASSES), expected, rtol=1e-14)


def test_a_probability_of_zero_elsewhere_costs_nothing() -> None:
    logs = Tensor([[0.0, -np.inf]], requires_grad=True)
    loss = ops.nll(logs, np.array([0]))
    assert loss.item() == 0
    (slope,) = grad(loss, logs)
    assert slope is not None
    assert slope.tolist() == [[-1.0, 0.0]]


def test_weights_that_require_grad_are_refused() -> None:
    w = Tensor(OF_CLASSES, requires_grad=True)
    with pytest.raises(GradientError, match="nll: argument weight has no derivative"):
        ops.nll(SCORES, LABELS, weight=w)
