import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from threadpoolctl import threadpool_info
from typer.testing import Result

from tinygrad_ckn import get_num_threads
from tinygrad_ckn.cli import _common, _train
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.training import Run

Invoke = Callable[..., Result]


def test_digits_out_of_the_box(tinygrad_ckn: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path):
    finished = tinygrad_ckn("train", "--patches", 5000, "--threads", 1, "--out", tmp_path / "run")
    assert (finished.returncode, finished.stderr) == (0, "")
    lines = finished.stdout.splitlines()
    assert lines[0] == "digits: 1,437 training and 360 test images of 1x8x8, 10 classes"
    found = re.fullmatch(r"test accuracy ([01]\.\d{4}) \((\d+)/360\)", lines[-1])
    assert found is not None
    assert float(found[1]) == round(int(found[2]) / 360, 4) > 0.95
    assert Run.open(tmp_path / "run").records()[-1]["correct"] == int(found[2])


def test_what_a_pipe_gets(trained: subprocess.CompletedProcess[str], run_folder: Path):
    number = r"\d+\.\d+"
    expected = [
        r"some: 200 training and 80 test images of 1x8x8, 10 classes",
        rf"filters of layer 1 of 2: mean cosine {number}, {number} s",
        rf"filters of layer 2 of 2: mean cosine {number}, {number} s",
        rf"classifier: l2 \S+, (held-out loss {number}, )?{number} s",
        rf"epoch 1 of 2: loss {number}, training accuracy {number}, {number} s",
        rf"epoch 2 of 2: loss {number}, training accuracy {number}, {number} s",
        rf"classifier: l2 \S+, held-out loss {number}, {number} s",
        rf"{number} s in all, at most [\d,]+ MiB of memory",
        *(rf"{digit}  +\d+ of +\d+ correct(, mistaken for \d \d+ times?)?" for digit in range(10)),
        rf"run folder {re.escape(str(run_folder))}",
        rf"test accuracy {number} \(\d+/80\)",
    ]
    assert not re.search(r"[^\n\x20-\x7e]", trained.stdout)  # no control characters, no bars
    lines = trained.stdout.splitlines()
    assert len(lines) == len(expected)
    for line, pattern in zip(lines, expected, strict=True):
        assert re.fullmatch(pattern, line), (line, pattern)
    assert trained.stderr == ""


def test_options_reach_the_run(run_folder: Path, archive: Path):
    config = json.loads((run_folder / "config.json").read_text())
    assert config["options"] == {
        "model": "unsup-32-64",
        "mode": "supervised",
        "epochs": 2,
        "batch_size": 128,
        "lr": 0.001,
        "augment": "crop-flip",
        "n_patches": 1000,
        "seed": 3,
        "device": "cpu",
    }
    assert (config["data"]["data"], config["data"]["data_dir"]) == (str(archive), None)


def test_paths_are_kept_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    assert _common.source_of("x.npz", None) == {"data": f"{tmp_path}/x.npz", "data_dir": None}
    assert _common.source_of("cifar10", Path("c")) == {"data": "cifar10", "data_dir": f"{tmp_path}/c"}


def test_threads_limit_the_blas_and_the_pool(invoke: Invoke, monkeypatch: pytest.MonkeyPatch):
    seen = []

    def look(*args: Any, **options: Any) -> None:
        seen.extend(library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas")
        seen.append(get_num_threads())
        raise ConfigError("seen")

    monkeypatch.setattr(_train.loop, "train", look)
    before = get_num_threads()
    for threads in (1, 2):  # of which one is not the default
        seen.clear()
        assert invoke("train", "--threads", threads).exit_code == 1
        assert len(seen) > 1
        assert seen[-1] == threads
        assert max(seen) == threads
        assert get_num_threads() == before


def test_where_memory_is_not_known(invoke: Invoke, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_train.loop, "peak_memory", lambda: None)
    fast = ("--model", "unsup-32-64", "--patches", 500, "--threads", 1)
    result = invoke("train", "--data", archive, *fast, "--out", tmp_path / "run")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert re.fullmatch(r"\d+\.\d s in all", lines[4])
    correct = Run.open(tmp_path / "run").records()[-1]["correct"]
    assert lines[-2:] == [f"run folder {tmp_path}/run", f"test accuracy {correct / 80:.4f} ({correct}/80)"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--model", "resnet"], "train: argument model expected one of unsup-32-64"),
        (["--mode", "semi"], "train: argument mode expected 'unsupervised' or 'supervised', got 'semi'"),
        (["--epochs", "3"], "train: argument epochs expected nothing in mode 'unsupervised'"),
        (["--augment", "crop-flip"], "train: argument augment expected nothing in mode 'unsupervised'"),
        (["--mode", "supervised", "--augment", "turn"], "train: argument augment expected 'crop-flip' or nothing"),
        (["--mode", "supervised", "--lr", "-1"], "train: argument lr expected a finite number > 0, got -1.0"),
        (["--mode", "semi", "--data", "nothing.npz"], "train: argument mode expected"),  # before the data are read
        (["--patches", "0"], "train: --patches expected a whole number >= 1, got 0"),
        (["--mode", "supervised", "--batch-size", "0"], "train: --batch-size expected a whole number >= 1, got 0"),
        (["--patches", "10", "--out", "r"], "spherical_kmeans: expected at least 32 distinct nonzero points"),
        (["--data", "nothing.npz", "--data-dir", "x"], "--data-dir: expected with 'fashion-mnist'"),
        (["--device", "tpu"], "device: expected 'cpu' or 'cuda', got 'tpu'"),
        (
            ["--data", "cifar10"],
            "cifar10: expected the folder of the six .bin files, got none; pass it with",
        ),
        (["--data", "cifar10", "--data-dir", "nowhere"], "nowhere: expected a folder with the CIFAR-10 binary files"),
        (["--data", "nothing.npz"], "nothing.npz: expected an .npz file, got nothing; check the path"),
    ],
)
def test_errors_are_one_sentence(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], sentence: str
):
    monkeypatch.chdir(tmp_path)
    result = invoke("train", *arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {sentence}")
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []  # no run folder is left


def test_an_existing_run_is_not_touched(invoke: Invoke, run_folder: Path):
    before = {path: path.read_bytes() for path in run_folder.iterdir()}
    result = invoke("train", "--out", run_folder)
    assert result.exit_code == 1
    assert result.stderr == (
        f"error: {run_folder}: expected a new or empty folder for the run, got one that holds files; "
        "give another with --out\n"
    )
    assert {path: path.read_bytes() for path in run_folder.iterdir()} == before


def test_a_profile_is_shown_and_its_trace_kept(
    tinygrad_ckn: Callable[..., subprocess.CompletedProcess[str]], archive: Path, tmp_path: Path
):
    options = ("--data", archive, "--model", "unsup-32-64", "--mode", "supervised", "--epochs", 1, "--patches", 500)
    finished = tinygrad_ckn("train", *options, "--profile", "--out", tmp_path / "run")
    assert (finished.returncode, finished.stderr) == (0, "")
    lines = [line.strip() for line in finished.stdout.splitlines()]
    phases = {found[1] for line in lines if (found := re.fullmatch(r"(\w+) +\d+\.\d{3} +\d+\.\d%", line))}
    assert {"preparation", "filters", "batch", "epoch", "classifier", "save", "evaluate"} <= phases
    assert any(re.fullmatch(r"batch +\w+ +backward +\d+ +\d+\.\d{3} +\d+\.\d% +\d+\.\d", line) for line in lines)
    events = json.loads((tmp_path / "run" / "trace.json").read_text())["traceEvents"]
    assert {event["cat"] for event in events} == {"forward", "backward", "phase"}
    assert Run.open(tmp_path / "run").load()


def test_without_profile_there_is_no_trace(run_folder: Path):
    assert not (run_folder / "trace.json").exists()
