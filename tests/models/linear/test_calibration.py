import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from tinygrad_ckn.models.linear.calibration import fit_temperature


@given(temperature=st.floats(0.05, 20), scale=st.sampled_from([1e-6, 1.0, 1e6]))
def test_the_temperature_that_labels_were_drawn_with_is_found(
    temperature: float, scale: float
) -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(4000, 5))
    p = softmax(scores / temperature, axis=1)
    labels = (p.cumsum(axis=1) > rng.random((4000, 1))).argmax(axis=1)
    found = fit_temperature((scale * scores).astype(np.float64), labels) / scale
    # nearly uniform labels say little
    spread = 0.1 if temperature < 2 else 0.3 * temperature
    assert abs(np.log(found / temperature)) < spread or temperature > 5


def test_the_mean_probability_of_the_chosen_class_is_the_share_that_is_right() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 2000)
    # far too unsure
    scores = 0.1 * (np.eye(3)[labels] + rng.normal(size=(2000, 3)))
    p = softmax(scores / fit_temperature(scores, labels), axis=1)
    assert abs(p.max(axis=1).mean() - (p.argmax(axis=1) == labels).mean()) < 0.02
    assert (
        abs(softmax(scores, axis=1).max(axis=1).mean() - (p.argmax(axis=1) == labels).mean()) > 0.1
    )


@pytest.mark.parametrize(
    "scores", [np.zeros((4, 2)), np.eye(2)[[0, 1, 0, 1]], np.array([[1.0, 0.0]])]
)
def test_scores_that_leave_it_open_give_a_finite_temperature(scores: np.ndarray) -> None:
    found = fit_temperature(scores, scores.argmax(axis=1))
    assert np.isfinite(found)
    assert found > 0
