"""Progress events: in no phase is more done than its total."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_ckn.data import Split
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.models import CKN, CKNLayer, FineTuning, Progress
from tinygrad_ckn.models.learning import fit as fitting
from tinygrad_ckn.models.linear.l2_search import MIDDLE, SCALE, HeldOut, choose_l2, l2_at
from tinygrad_ckn.training import evaluation

PHASES = {"k-means", "filters", "l2", "classifier", "batch", "epoch"}


@pytest.mark.parametrize(("done", "total"), [(6, 5), (-1, 5), (1, 0)])
def test_more_than_the_total_is_refused(done: int, total: int):
    with pytest.raises(
        ConfigError,
        match=rf"argument done expected an integer from 0 to total = {total}, got {done}",
    ):
        Progress("l2", done, total)


@pytest.mark.parametrize("best", SCALE)
def test_wherever_the_best_l2_lies_what_is_tried_is_within_the_total(
    best: int, monkeypatch: pytest.MonkeyPatch
):
    """From the far ends of the scale more than twice as many values are tried as at least."""
    told: list[Progress] = []

    def fit_linear(features, labels, n_classes, *, report, **options):
        k_of = {l2_at(k): k for k in SCALE}
        l2, _, held_out = choose_l2(
            lambda l2, start: k_of[l2], lambda k: HeldOut(abs(k - best), 0.0), MIDDLE, report
        )
        weight = np.zeros((n_classes, features.shape[1]), features.dtype)
        return fitting.LinearFit(weight, np.zeros(n_classes, features.dtype), l2, 1.0, held_out)

    monkeypatch.setattr(fitting, "fit_linear", fit_linear)
    model = CKN(1, 4, 2, [CKNLayer(1, 2, 2, subsampling=2)])
    images = np.ones((2, 1, 4, 4), "float32")
    fitting.fit_classifier(
        model, images, np.array([0, 1]), loss="squared_hinge", l2=None, rng=0, report=told.append
    )
    tried = [progress for progress in told if progress.phase == "l2"]
    assert [progress.done for progress in tried] == list(range(1, len(tried) + 1))
    assert all(progress.done <= progress.total for progress in told)
    assert (
        tried[-1].values["held_out_error"]
        >= min(progress.values["held_out_error"] for progress in tried)
        == 0
    )


# of random labels
@pytest.mark.filterwarnings("ignore::tinygrad_ckn.errors.TrainingWarning")
@settings(max_examples=15)
@given(
    st.integers(min_value=20, max_value=60),
    st.sampled_from([1, 2]),
    st.integers(min_value=1, max_value=3),
    st.integers(min_value=1, max_value=70),
    st.booleans(),
    st.sampled_from([None, 1, 2]),
    st.sampled_from([0.0, 0.2]),
    st.sampled_from([None, 1]),
    st.sampled_from([None, 1e-3]),
)
def test_no_phase_is_ever_past_its_total(
    n, groups, epochs, batch_size, alternating, every, validation, patience, l2
):
    rng = np.random.default_rng(n)
    images = rng.normal(size=(n, 2, 6, 6)).astype("float32")
    labels = np.arange(n) % 2
    layers = [CKNLayer(2, 4, 2, subsampling=2, groups=groups), CKNLayer(4, 4, 2, subsampling=1)]
    told: list[Progress] = []
    descent = FineTuning(
        epochs=epochs,
        batch_size=batch_size,
        alternating=alternating,
        refit_classifier_every=None if alternating else every,
        validation=validation,
        patience=patience if validation else None,
        lr=1e-3,
    )
    model = CKN(2, 6, 2, layers)
    model.fit(
        images,
        labels,
        descent=descent,
        l2=l2,
        n_patches=200,
        iterations=2,
        rng=0,
        report=told.append,
    )
    evaluation.evaluate(model, Split(images, labels), report=told.append)
    assert all(0 <= progress.done <= progress.total for progress in told)
    assert {progress.phase for progress in told} >= PHASES - ({"l2"} if l2 else set()) | {
        "evaluate"
    }
