"""A part of scripts/gradcheck_trial.py: no right gradient is refused, no fault is missed."""

import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "gradcheck_trial.py"


def load():
    spec = importlib.util.spec_from_file_location("gradcheck_trial", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


trial = load()


@pytest.mark.parametrize("name", trial.RIGHT)
@pytest.mark.parametrize("order", [1, 2])
def test_a_right_gradient_next_to_kinks_or_where_it_is_steep_is_called_right(name, order):
    counts, first = trial.verdicts(name, order, draws=5)
    assert counts == {"right": 5}, first


@pytest.mark.parametrize("name", trial.FAULTS)
def test_a_planted_fault_is_found_at_every_seed(name):
    assert trial.caught(name, 5) == 5


def test_the_script_counts_alarms_and_misses(monkeypatch, capsys):
    monkeypatch.setattr(
        sys, "argv", ["gradcheck_trial.py", "--draws", "1", "--seeds", "1", "--only", "relu (100,)"]
    )
    assert trial.main() == 0
    monkeypatch.setitem(
        trial.RIGHT, "relu (100,)", (trial.ops.abs, lambda r: [r.normal(size=3) * 0])
    )
    assert trial.main() == 1
    assert "2 false alarms, 0 faults missed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "order", "seed"),
    [
        # rounding of log(1 + 1e-13) in steps of 2^-9
        ("cross_entropy(30 x)", 2, 14),
        # a second derivative of 1e-10 beside values of 5
        ("softmax(50 x)", 2, 96),
        # a kink of the gradient 5e-7 away
        ("squared hinge 6x4", 2, 442),
        # three eigenvalues near 1e-6
        ("inverse_sqrt, 1e-6 to 1", 1, 5477),
    ],
)
def test_the_hardest_draws(name, order, seed):
    counts, first = trial.verdicts(name, order, draws=1, start=seed)
    assert counts == {"right": 1}, first
