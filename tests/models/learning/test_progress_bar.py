import io

import numpy as np
from rich.console import Console

from tinygrad_ckn.data import load_digits
from tinygrad_ckn.models import FineTuning, Progress, ProgressBar, build


def test_a_fit_moves_a_bar_for_each_phase():
    digits = load_digits().train.take(np.arange(60))
    model = build("unsup-32-64", in_channels=1, image_size=8, n_classes=10, rng=0)
    output = io.StringIO()
    descent = FineTuning(epochs=2, lr=1e-4, validation=0)
    with ProgressBar(Console(file=output, width=100)) as bar:
        model.fit(
            digits.images,
            digits.labels,
            n_patches=300,
            iterations=2,
            rng=0,
            report=bar,
            descent=descent,
        )
    lines = {line.split()[0] for line in output.getvalue().splitlines() if line.strip()}
    assert {"k-means", "filters", "classifier", "batch", "epoch"} <= lines
    assert "2/2" in output.getvalue()


def test_a_phase_that_goes_back_gets_a_new_bar():
    output = io.StringIO()
    with ProgressBar(Console(file=output, width=80)) as bar:
        for done in (0, 1, 2, 1, 2):
            bar(Progress("k-means", done, 2))
    assert output.getvalue().count("2/2") == 2
