"""Training with interpreted kernels: k-means, then fine-tuning on few images."""

import numpy as np
import pytest

from tinygrad_ckn.backend import asarray
from tinygrad_ckn.data import load_digits
from tinygrad_ckn.models import CKN, CKNLayer, FineTuning, LinearFit
from tinygrad_ckn.models.learning.finetuning import fine_tune
from tinygrad_ckn.models.learning.objective import LabelledImages
from tinygrad_ckn.models.learning.state import Course
from tools.gpu_emulator.standin import COUNTERS

DIGITS = load_digits()
# relative to the largest value
TOLERANCES = {"float64": 1e-12, "float32": 1e-5}


@pytest.mark.usefixtures("standin")
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_a_training_with_kernels_is_that_of_the_cpu(dtype):
    learned, waits = {}, []

    def report(progress):
        if progress.phase == "batch":
            waits.append(len(COUNTERS.synchronisations))
        COUNTERS.synchronisations.clear()

    for device in ("cpu", "cuda"):
        layers = [
            CKNLayer(1, 4, 3, subsampling=2, dtype=dtype, rng=1),
            CKNLayer(4, 6, 2, dtype=dtype, rng=2),
        ]
        model = CKN(1, 8, 10, layers, rng=3).to(device)
        images = asarray(DIGITS.train.images[:40], dtype=dtype, device=device)
        labels = asarray(DIGITS.train.labels[:40], device=device)
        model.fit_unsupervised(images, n_patches=100, iterations=2, rng=0)
        COUNTERS.synchronisations.clear()
        fine_tune(
            model,
            LabelledImages(images, labels),
            LabelledImages(images[:0], labels[:0]),
            FineTuning(epochs=2, batch_size=10, lr=0.05, validation=0),
            loss="squared_hinge",
            solve=lambda: LinearFit(None, None, l2=0.0, scale=1.0),
            course=Course.of(model, np.random.default_rng(0)),
            report=report,
        )
        learned[device] = model.state_dict()
    for name, array in learned["cpu"].items():
        assert (
            np.abs(learned["cuda"][name] - array).max() <= TOLERANCES[dtype] * np.abs(array).max()
        ), name
    assert waits[8:] == [0, 0, 0, 1] * 2
    kinds = {name.split("<")[0] for name in COUNTERS.launches}
    assert {"map", "map_vjp", "norms", "squares", "add_squares", "nearest", "cluster_sums"} <= kinds
