import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from tinygrad_ckn.cli import app
from tinygrad_ckn.data import load_digits
from tools import warm_python


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch):
    """Make tests independent of the caller's terminal and settings."""
    for name in (
        "TINYGRAD_CKN_TRACEBACK",
        "FORCE_COLOR",
        "GITHUB_ACTIONS",
        "NO_COLOR",
        "PY_COLORS",
    ):
        monkeypatch.delenv(name, raising=False)


def tinygrad_ckn(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command in its own process."""
    return warm_python.run(["-m", "tinygrad_ckn", *arguments])


@pytest.fixture(name="tinygrad_ckn", scope="session")
def tinygrad_ckn_fixture() -> Callable[..., subprocess.CompletedProcess[str]]:
    return tinygrad_ckn


@pytest.fixture
def invoke() -> Callable[..., Result]:
    """A function that runs the command in this process."""
    return lambda *arguments: CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some digits in an .npz file, with a test part, and pixels 0..16 written as floats."""
    digits = load_digits()
    path = tmp_path_factory.mktemp("data") / "some.npz"
    np.savez(
        path,
        images=digits.train.images[:200],
        labels=digits.train.labels[:200],
        test_images=digits.test.images[:80],
        test_labels=digits.test.labels[:80],
    )
    return path


@pytest.fixture(scope="session")
def trained(
    archive: Path, tmp_path_factory: pytest.TempPathFactory
) -> subprocess.CompletedProcess[str]:
    """A finished training on the archive; its run folder follows --out among the arguments."""
    out = tmp_path_factory.mktemp("runs") / "some"
    model = ("--model", "unsup-32-64", "--mode", "supervised", "--epochs", 2, "--lr", 0.001)
    finished = tinygrad_ckn(
        "train",
        "--data",
        archive,
        *model,
        "--augment",
        "crop-flip",
        "--n-patches",
        1000,
        "--seed",
        3,
        "--threads",
        1,
        "--out",
        out,
    )
    assert finished.returncode == 0, finished.stderr
    return finished


@pytest.fixture(scope="session")
def run_folder(trained: subprocess.CompletedProcess[str]) -> Path:
    return Path(trained.args[trained.args.index("--out") + 1])


@pytest.fixture
def info_lines(invoke: Callable[..., Result]) -> Callable[[], list[tuple[str, str]]]:
    """A function that returns the names and values that `info` prints."""

    def lines() -> list[tuple[str, str]]:
        result = invoke("info")
        assert result.exit_code == 0
        split = (line.split(maxsplit=1) for line in result.stdout.splitlines())
        return [(name, value) for name, value in split]

    return lines
