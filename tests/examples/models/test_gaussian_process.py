import re
import runpy
import sys
from pathlib import Path

import numpy as np
from scipy.stats import multivariate_normal

SCRIPT = Path(__file__).parents[3] / "examples" / "models" / "gaussian_process.py"


def test_it_has_at_most_60_lines():
    assert len(SCRIPT.read_text().splitlines()) <= 60


def test_the_likelihood_is_scipys_and_predictions_lie_within_three_error_bars(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [str(SCRIPT)])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    before, after, found, *predictions = capsys.readouterr().out.splitlines()
    random = np.random.default_rng(0)
    x = np.sort(random.uniform(0, 7, 40))
    y = np.sin(x) + random.normal(0, 0.1, 40)
    width, height, noise = map(float, re.findall(r"\d+\.\d+", found)[:3])
    for line, (w, h, s) in ((before, (1, 1, 1)), (after, (width, height, noise))):
        k = h**2 * np.exp(-((x[:, None] - x) ** 2) / (2 * w**2)) + s**2 * np.eye(40)
        expected = -multivariate_normal(np.zeros(40), k).logpdf(y)
        assert abs(float(re.findall(r"-?\d+\.\d+", line)[0]) - expected) < 0.02
    assert 0.08 < noise < 0.12
    for line in predictions:
        _, mean, deviation, truth = map(float, re.findall(r"-?\d+\.\d+", line))
        assert abs(mean - truth) < 3 * deviation
    # far from all points it knows nothing
    assert abs(deviation - height) < 0.01
