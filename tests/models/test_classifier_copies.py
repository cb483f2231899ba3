"""Classifiers on examples of which there are several copies, as images and their mirror images."""

import numpy as np
import pytest

from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.models.classifier import fit_linear


def examples(n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Return features that say nothing of the labels, and half as many as examples, which are partly known by heart."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, n // 2)), rng.integers(0, 3, n)


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_hinge"])
@pytest.mark.parametrize("copies", [2, 3])
def test_copies_are_held_out_together(loss: str, copies: int) -> None:
    x, labels = examples()
    once = fit_linear(x, labels, 3, loss=loss, iterations=500, rng=5)
    repeated = np.tile(x, (copies, 1)), np.tile(labels, copies)
    together = fit_linear(*repeated, 3, loss=loss, copies=copies, iterations=500, rng=5)
    assert together.held_out == pytest.approx(once.held_out, rel=1e-2)
    np.testing.assert_allclose(together.weight, once.weight, rtol=1e-3, atol=1e-5)
    apart = fit_linear(*repeated, 3, loss=loss, iterations=500, rng=5)
    assert min(apart.held_out.values()) < 0.7 * min(once.held_out.values())  # copies were seen


@pytest.mark.parametrize("copies", [0, 7, 2.0, None])
def test_copies_that_cannot_be_are_refused(copies: object) -> None:
    message = f"^fit_linear: argument copies expected a divisor of the 60 examples, got {copies}$"
    with pytest.raises(ConfigError, match=message):
        fit_linear(*examples(), 3, copies=copies)
