import numpy as np
import pytest

from tinygrad_ckn import ops
from tinygrad_ckn.models import CKN, CKNLayer
from tinygrad_ckn.models.learning.objective import Objective, Target
from tinygrad_ckn.testing import gradcheck

IMAGES = np.random.default_rng(0).random((6, 1, 5, 5))
LABELS = np.array([0, 1, 2, 2, 1, 0])


def model() -> CKN:
    return CKN(1, 5, 3, [CKNLayer(1, 4, 3, subsampling=2, dtype="float64", rng=0)], rng=0)


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_hinge"])
def test_the_objective_is_the_sum_over_targets_plus_the_penalty(loss) -> None:
    network = model()
    weights = np.array([2.0, 1.0, 0.5, 0.5, 1.0, 0.25])
    targets = (Target(LABELS, weights, 0.75), Target(LABELS[::-1].copy(), None, 0.25))
    value, scores = Objective(network, loss, 1e-2)(IMAGES, *targets)
    # The mean of w_i L_i.
    first = ops.__dict__[loss](scores.data, LABELS, weights) * weights.mean()
    second = ops.__dict__[loss](scores.data, LABELS[::-1].copy())
    penalty = 1e-2 / 2 * (network.classifier.weight.numpy() ** 2).sum()
    assert value.item() == pytest.approx(0.75 * first + 0.25 * second + penalty, rel=1e-12)


def test_smoothing_is_that_of_the_loss() -> None:
    value, scores = Objective(model(), "cross_entropy", 0.0, 0.2)(IMAGES, Target(LABELS))
    expected = ops.cross_entropy(scores.data, LABELS, label_smoothing=0.2)
    assert value.item() == pytest.approx(float(expected), rel=1e-12)


def test_its_gradient_is_right_with_everything_on() -> None:
    network = model()
    weights = np.array([2.0, 1.0, 0.5, 0.5, 1.0, 0.25])
    targets = (Target(LABELS, weights, 0.75), Target(LABELS[::-1].copy(), weights, 0.25))
    objective = Objective(network, "cross_entropy", 1e-2, 0.1)

    def value(weight):
        network.classifier.weight = weight
        return objective(IMAGES, *targets)[0]

    assert gradcheck(value, [network.classifier.weight.numpy().copy()], order=2).error < 1e-6


def test_hits_are_weighted() -> None:
    scores = np.eye(3)[[0, 1, 0]]
    target = Target(np.array([0, 1, 2]), np.array([0.5, 2.0, 9.0]))
    assert target.hits(scores) == 2.5
    assert target._replace(share=0.5).hits(scores) == 1.25
    assert Target(np.array([0, 1, 2])).hits(scores) == 2
