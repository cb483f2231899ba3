"""The programs of examples/models: each is short, and learns in a few steps."""

import re
import runpy
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "models"
# steps, and the largest share of the first loss that may be left after them
FEW = {
    "conv_net": (8, 0.8),
    "kernel_logistic": (20, 0.5),
    "lstm": (8, 0.85),
    "maml": (10, 0.95),
    "mlp": (50, 0.2),
    "neural_ode": (8, 0.3),
    "pinn": (60, 1e-4),
    "rnn": (8, 0.4),
    "tiny_mlp": (500, 0.05),
    "vae": (50, 0.55),
}


@pytest.fixture
def printed(monkeypatch, capsys):
    """Run a program, and return what it prints."""

    def run(name: str, steps: int) -> str:
        script = str(FOLDER / f"{name}.py")
        monkeypatch.setattr(sys, "argv", [script, "--steps", str(steps)])
        runpy.run_path(script, run_name="__main__")
        return capsys.readouterr().out

    return run


def losses(text: str) -> tuple[float, float]:
    """Return the first and the last loss that a program prints."""
    (found,) = re.findall(r"^loss (\S+) -> ([\d.e+-]+)", text, re.MULTILINE)
    return float(found[0]), float(found[1])


@pytest.mark.parametrize("name", FEW)
def test_the_loss_falls(printed, name: str):
    steps, share = FEW[name]
    first, last = losses(printed(name, steps))
    assert 0 <= last < share * first


def test_the_network_solves_the_differential_equation(printed):
    # The closed form is sin(pi x), as the program says.
    (error,) = re.findall(r"within (\S+) of sin", printed("pinn", 60))
    assert float(error) < 1e-3


def test_parity_is_learned_exactly(printed):
    assert "the parity of 16 of 16 inputs is right" in printed("tiny_mlp", 500)


@pytest.mark.parametrize(("name", "least"), [("mlp", 90), ("kernel_logistic", 94)])
def test_new_examples_are_classified(printed, name: str, least: int):
    (percent,) = re.findall(r"([\d.]+)% of \d+ new", printed(name, FEW[name][0]))
    assert float(percent) > least


def test_all_are_tested_and_short():
    programs = {path.stem: path.read_text() for path in FOLDER.glob("*.py")}
    assert set(FEW) <= set(programs)
    assert {name for name, text in programs.items() if len(text.splitlines()) > 60} == set()
    assert {name for name, text in programs.items() if f"models/{name}.py" not in text} == set()
