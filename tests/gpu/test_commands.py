"""The commands on the stand-in for CuPy, with --device cuda."""

import numpy as np
import pytest
from typer.testing import CliRunner

from tinygrad_ckn.cli import app
from tinygrad_ckn.data import load_digits

FAST = ("--n-patches", "500", "--iterations", "2", "--device", "cuda")
pytestmark = pytest.mark.usefixtures("plain")


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_a_run_is_trained_evaluated_and_used(tmp_path):
    digits = load_digits()
    trained = run("train", *FAST, "--out", tmp_path / "run")
    for device in ("cuda", "cpu"):
        assert (
            run("evaluate", tmp_path / "run", "--device", device).splitlines()[-1]
            == trained.splitlines()[-1]
        )
    np.savez(tmp_path / "some.npz", images=digits.test.images[:5])
    told = [
        run("predict", tmp_path / "run", tmp_path / "some.npz", "--device", device)
        for device in ("cuda", "cpu")
    ]
    assert [line.split()[:2] for line in told[0].splitlines()] == [
        line.split()[:2] for line in told[1].splitlines()
    ]


def test_models_are_compared(tmp_path):
    assert "test accuracy" in run(
        "compare", "unsup-32-64", "unsup-64-256", *FAST, "--out", tmp_path / "both"
    )


def test_derivatives_are_checked():
    told = run(
        "gradcheck",
        "--device",
        "cuda",
        "--examples",
        1,
        "--primitive",
        "inverse_sqrt",
        "--primitive",
        "add",
    )
    assert "2 primitives checked, 0 failed" in told


def test_info_lists_the_device():
    assert "cuda:0        Stand-in, 80 GiB, compute capability 9.0" in run("info")
