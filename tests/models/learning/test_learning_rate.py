"""The learning rate from the curvature of the loss at the start."""

import numpy as np
import pytest

from tinygrad_ckn.data import load_digits
from tinygrad_ckn.models import CKN, CKNLayer, FineTuning
from tinygrad_ckn.models.learning.learning_rate import learning_rate
from tinygrad_ckn.models.learning.objective import LabelledImages, Objective

DIGITS = load_digits().train
TRAINING = LabelledImages(DIGITS.images[:100], DIGITS.labels[:100])


@pytest.mark.parametrize("factor", [1.0, 1e3])
def test_features_that_are_large_lower_the_rate(factor: float) -> None:
    model = CKN(1, 8, 10, [CKNLayer(1, 4, 3, subsampling=2, rng=0)], rng=0)
    training = TRAINING._replace(images=TRAINING.images * np.float32(factor))
    objective = Objective(model, "cross_entropy", 0.0)
    descent = FineTuning(momentum=0.5)
    rate = learning_rate(objective, list(model.parameters()), training, descent)
    assert (rate == descent.base_lr) == (factor == 1.0)
    assert 0 < rate <= descent.base_lr
    assert all(parameter.grad is None for parameter in model.parameters())
