import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.models.linear.calibration import USUAL, fit_temperature, probabilities_of


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


@given(usual=st.sampled_from(list(USUAL.values())))
def test_few_examples_that_are_all_right_do_not_give_certainty(usual: float) -> None:
    for n in (1, 3, 30, 300):
        labels = np.arange(n) % 3
        scores = 5 * usual * np.eye(3)[labels]
        p = softmax(scores / fit_temperature(scores, labels, usual=usual), axis=1)
        assert 0.9 < p.max() < 1 - 1e-5


def test_many_examples_outweigh_the_prior() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(4000, 5))
    p = softmax(scores / 0.3, axis=1)
    labels = (p.cumsum(axis=1) > rng.random((4000, 1))).argmax(axis=1)
    assert fit_temperature(scores, labels, usual=1.0) == pytest.approx(0.3, rel=0.1)
    few = fit_temperature(scores[:10], labels[:10], usual=1.0)
    assert abs(np.log(few)) < abs(np.log(fit_temperature(scores[:10], labels[:10])))


def test_weights_count_examples() -> None:
    rng = np.random.default_rng(2)
    scores, labels = rng.normal(size=(60, 3)), rng.integers(0, 3, 60)
    labels[:40] = scores[:40].argmax(axis=1)
    counts = rng.integers(0, 3, 60)
    weighted = fit_temperature(scores, labels, counts)
    repeated = fit_temperature(np.repeat(scores, counts, 0), np.repeat(labels, counts))
    assert weighted == pytest.approx(repeated, rel=1e-4)


def test_probabilities_are_the_softmax_or_a_sentence() -> None:
    scores = np.array([[1.0, 3.0]], dtype="float32")
    p = probabilities_of(scores, 2.0, "predict_proba")
    np.testing.assert_allclose(p, softmax(scores.astype("float64") / 2, axis=1))
    assert p.dtype == "float64"
    with pytest.raises(ConfigError, match="predict_proba: expected a model whose scores are"):
        probabilities_of(scores, None, "predict_proba")


@pytest.mark.parametrize(
    "scores", [np.zeros((4, 2)), np.eye(2)[[0, 1, 0, 1]], np.array([[1.0, 0.0]])]
)
def test_scores_that_leave_it_open_give_a_finite_temperature(scores: np.ndarray) -> None:
    found = fit_temperature(scores, scores.argmax(axis=1))
    assert np.isfinite(found)
    assert found > 0
