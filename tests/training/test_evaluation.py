import numpy as np
import pytest
from scipy.special import logsumexp

from tinygrad_ckn.data import Split
from tinygrad_ckn.errors import DataError, ShapeError
from tinygrad_ckn.models import CKN, Progress
from tinygrad_ckn.training import evaluate, evaluation, probabilities

RNG = np.random.default_rng(0)
IMAGES = RNG.random((10, 1, 8, 8), dtype=np.float32)
LABELS = RNG.integers(0, 3, 10)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(evaluation, "BLOCK", 4)


def test_counts_what_the_model_predicts(model: CKN):
    confusion = evaluate(model, Split(IMAGES, LABELS))
    expected = np.zeros((3, 3), dtype=np.int64)
    for label, predicted in zip(LABELS, model.predict(IMAGES), strict=True):
        expected[label, predicted] += 1
    np.testing.assert_array_equal(confusion, expected)


def test_reports_images_and_rate(model: CKN):
    told: list[Progress] = []
    evaluate(model, Split(IMAGES, LABELS), report=told.append)
    assert [(progress.phase, progress.done, progress.total) for progress in told] == [
        ("evaluate", done, 10) for done in (0, 4, 8, 10)
    ]
    assert all(progress.values["images_per_second"] > 0 for progress in told[1:])


def test_labels_without_a_class(model: CKN):
    with pytest.raises(
        DataError,
        match=r"^evaluate: labels: expected labels of the classes 0, 1, 2, got 3 at index 9",
    ):
        evaluate(model, Split(IMAGES, np.append(LABELS[:9], 3)))


def test_images_of_another_size(model: CKN):
    with pytest.raises(
        ShapeError, match=r"argument images expected shape \(N, 1, 8, 8\), got \(4, 1, 9, 8\)"
    ):
        evaluate(model, Split(RNG.random((10, 1, 9, 8), dtype=np.float32), LABELS))


def test_probabilities_are_the_softmax_of_the_scores(model: CKN):
    scores = model.scores(IMAGES).astype(np.float64)
    expected = np.exp(scores - logsumexp(scores, axis=1, keepdims=True))
    np.testing.assert_allclose(probabilities(model, IMAGES), expected, rtol=1e-5)


def test_probabilities_of_huge_scores_are_finite(model: CKN):
    model.classifier.bias.data = np.array([1e30, 0, 0], dtype=np.float32)
    np.testing.assert_array_equal(probabilities(model, IMAGES), np.tile([1.0, 0, 0], (10, 1)))
