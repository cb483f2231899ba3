import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from tinygrad_ckn.cli import train as _train
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.models import FineTuning
from tinygrad_ckn.training import Run
from tinygrad_ckn.training import result as finishing
from tinygrad_ckn.training.options import AUGMENTATIONS, resolve

Invoke = Callable[..., Result]


def test_digits_out_of_the_box(
    tinygrad_ckn: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
):
    finished = tinygrad_ckn("train", "--n-patches", 5000, "--threads", 1, "--out", tmp_path / "run")
    assert (finished.returncode, finished.stderr) == (0, "")
    lines = finished.stdout.splitlines()
    assert lines[0] == "digits: 1,437 training and 360 test images of 1x8x8, 10 classes"
    found = re.fullmatch(r"test accuracy ([01]\.\d{4}) \((\d+)/360\)", lines[-1])
    assert found is not None
    assert float(found[1]) == round(int(found[2]) / 360, 4) > 0.95
    assert Run.open(tmp_path / "run").records()[-1]["correct"] == int(found[2])


def test_output_in_a_pipe(trained: subprocess.CompletedProcess[str], run_folder: Path):
    number = r"\d+\.\d+"
    expected = [
        r"some: 200 training and 80 test images of 1x8x8, 10 classes",
        rf"filters of layer 1 of 2: mean cosine {number}, {number} s",
        rf"filters of layer 2 of 2: mean cosine {number}, {number} s",
        rf"classifier: l2 \S+, (held-out accuracy {number}, )?{number} s",
        rf"epoch 1 of 2: loss {number}, accuracy {number}, validation {number}, {number} s",
        rf"epoch 2 of 2: loss {number}, accuracy {number}, validation {number}, {number} s",
        rf"kept (epoch [12] of 2|the start, no epoch was better): validation {number}",
        rf"classifier: l2 \S+, held-out accuracy {number}, {number} s",
        rf"{number} s in all, at most [\d,]+ MiB of memory",
        *(rf"{digit}  +\d+ of +\d+ correct(, mistaken for \d \d+ times?)?" for digit in range(10)),
        rf"report {re.escape(str(run_folder))}/report\.html",
        rf"run folder {re.escape(str(run_folder))}",
        rf"test accuracy {number} \(\d+/80\)",
    ]
    # Neither control characters nor bars.
    assert not re.search(r"[^\n\x20-\x7e]", trained.stdout)
    lines = trained.stdout.splitlines()
    assert len(lines) == len(expected)
    for line, pattern in zip(lines, expected, strict=True):
        assert re.fullmatch(pattern, line), (line, pattern)
    # Of 20 images held out, one more mistake is a fall of 5 points.
    assert all(line.startswith("warning: fit: expected") for line in trained.stderr.splitlines())


def test_options_reach_the_run(run_folder: Path, archive: Path):
    config = json.loads((run_folder / "config.json").read_text())
    assert config["options"] == {
        "model": "unsup-32-64",
        "mode": "supervised",
        "preprocessing": None,
        "mirror_average": None,
        "loss": "squared_hinge",
        "class_weight": None,
        "n_patches": 1000,
        "iterations": 30,
        "seed": 3,
        "device": "cpu",
        "checkpoint_every": "5m",
        "csv": False,
        "tensorboard": False,
        "init_from": None,
        "descent": {
            **asdict(FineTuning()),
            "epochs": 2,
            "lr": 0.001,
            "augment": "crop-flip",
            "freeze": [],
        },
    }
    assert (config["data"]["data"], config["data"]["data_dir"]) == (str(archive), None)


ALL_OPTIONS = {
    "--model": ("ckn5", "model"),
    "--mode": ("supervised", "mode"),
    "--preprocessing": ("standardize", "preprocessing"),
    "--mirror-average": ("scores", "mirror_average"),
    "--loss": ("cross_entropy", "loss"),
    "--n-patches": (77, "n_patches"),
    "--iterations": (7, "iterations"),
    "--epochs": (3, "epochs"),
    "--batch-size": (11, "batch_size"),
    "--optimizer": ("adam", "optimizer"),
    "--lr": (0.25, "lr"),
    "--warmup": (1.5, "warmup"),
    "--schedule": ("step", "schedule"),
    "--refit-classifier-every": (2, "refit_classifier_every"),
    "--validation": (0.2, "validation"),
    "--patience": (4, "patience"),
    "--augment": ("crop-flip", "augment"),
    "--seed": (5, "seed"),
    "--checkpoint-every": ("2e", "checkpoint_every"),
}


@pytest.mark.parametrize("alternating", [False, True])
def test_every_option_reaches_the_training(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, alternating: bool
):
    seen: dict[str, Any] = {}

    def look(dataset: Any, *, out: Any, source: Any, report: Any, **options: Any) -> None:
        seen.update(options)
        raise ConfigError("seen")

    monkeypatch.setattr(_train.loop, "train", look)
    given = {
        **ALL_OPTIONS,
        "--alternating" if alternating else "--no-alternating": (alternating, "alternating"),
    }
    if alternating:
        del given["--refit-classifier-every"]
    result = invoke(
        "train",
        *(
            part
            for name, (value, _) in given.items()
            for part in ((name,) if isinstance(value, bool) else (name, value))
        ),
    )
    assert result.stderr == "error: seen\n"
    expected = {name: value for value, name in given.values()}
    assert {name: value for name, value in seen.items() if name in expected} == expected
    descent = resolve("digits", **seen).make_descent()
    assert (descent.alternating, descent.optimizer, descent.lr, descent.patience) == (
        alternating,
        "adam",
        0.25,
        4,
    )


def test_options_that_are_not_given_are_left_to_the_training(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
):
    seen: dict[str, Any] = {}

    def look(dataset: Any, *, out: Any, source: Any, report: Any, **options: Any) -> None:
        seen.update(options)
        raise ConfigError("seen")

    monkeypatch.setattr(_train.loop, "train", look)
    invoke("train")
    assert resolve("digits", **seen) == resolve("digits")
    assert resolve("cifar10", **seen) == resolve("cifar10")


def test_unknown_memory(
    invoke: Invoke, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(finishing, "peak_memory", lambda: None)
    fast = ("--model", "unsup-32-64", "--n-patches", 500, "--threads", 1)
    result = invoke("train", "--data", archive, *fast, "--out", tmp_path / "run")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert re.fullmatch(r"\d+\.\d s in all", lines[4])
    correct = Run.open(tmp_path / "run").records()[-1]["correct"]
    assert lines[-2:] == [
        f"run folder {tmp_path}/run",
        f"test accuracy {correct / 80:.4f} ({correct}/80)",
    ]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--model", "resnet"], "train: --model expected 'unsup-32-64', 'unsup-64-256'"),
        (
            ["--mode", "semi"],
            "train: --mode expected 'unsupervised' or 'supervised', got 'semi'",
        ),
        (["--epochs", "3"], "train: --epochs expected None in mode 'unsupervised'"),
        (
            ["--augment", "crop-flip"],
            "train: --augment expected None in mode 'unsupervised'",
        ),
        (
            ["--mode", "supervised", "--augment", "turn"],
            "train: --augment expected 'crop-flip', got 'turn'",
        ),
        (
            ["--mode", "supervised", "--lr", "-1"],
            "FineTuning: --lr expected a finite number > 0, got -1.0",
        ),
        (
            ["--alternating"],
            "train: --alternating expected None in mode 'unsupervised'",
        ),
        (
            ["--refit-classifier-every", "2"],
            "train: --refit-classifier-every expected None in mode 'unsupervised'",
        ),
        (["--preprocessing", "bleach"], "train: --preprocessing expected 'gradient_map', "),
        (
            ["--mirror-average", "both"],
            "train: --mirror-average expected 'features', 'scores' or 'none', got 'both'",
        ),
        (
            ["--loss", "hinge"],
            "train: --loss expected 'cross_entropy' or 'squared_hinge', got 'hinge'",
        ),
        (
            ["--mode", "semi", "--data", "nothing.npz"],
            "train: --mode expected",
        ),  # before the data are read
        (["--n-patches", "0"], "train: --n-patches expected an integer >= 1, got 0"),
        (
            ["--mode", "supervised", "--batch-size", "0"],
            "FineTuning: --batch-size expected an integer >= 1, got 0",
        ),
        (
            ["--n-patches", "10", "--out", "r"],
            "layers[0], n_filters=32: spherical_kmeans: expected at least 32 distinct",
        ),
        (
            ["--data", "nothing.npz", "--data-dir", "x"],
            "load: --data-dir expected None unless the data set is 'fashion-mnist'",
        ),
        (["--out", ""], "train: --out expected the path of a folder, got ''; name one"),
        (["--device", "tpu"], "device: expected 'cpu' or 'cuda', got 'tpu'"),
        (
            ["--data", "cifar10"],
            "cifar10: expected the folder of the six .bin files, or the Python version, got none; "
            "pass it as --data-dir",
        ),
        (
            ["--data", "cifar10", "--data-dir", "nowhere"],
            "nowhere: expected a folder with the six .bin files",
        ),
        (
            ["--data", "nothing.npz"],
            "nothing.npz: expected an .npz file, got nothing; check the path",
        ),
    ],
)
def test_errors_are_one_sentence(
    invoke: Invoke,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    sentence: str,
):
    monkeypatch.chdir(tmp_path)
    result = invoke("train", *arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {sentence}")
    assert result.stderr.count("\n") == 1
    # The folder of the run has been removed.
    assert list(tmp_path.iterdir()) == []


def test_nan_is_one_sentence_and_leaves_the_checkpoint(
    invoke: Invoke, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(AUGMENTATIONS, "crop-flip", lambda images, rng: images * float("nan"))
    options = (
        "--model",
        "unsup-32-64",
        "--mode",
        "supervised",
        "--n-patches",
        500,
        "--augment",
        "crop-flip",
        "--lr",
        0.02,
    )
    result = invoke("train", "--data", archive, *options, "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert result.stderr == (
        "error: fit: expected a finite loss and gradient, got NaN or infinity in epoch 1, batch 1 "
        "(first in the images of the batch); lower lr (0.02); the parameters are those of epoch "
        f"0\nkept in {tmp_path / 'run'}: checkpoint.safetensors (the start, the best so far), "
        "last.safetensors (the start, the last); load_model reads each; `tinygrad-ckn train "
        f"--resume {tmp_path / 'run'}` continues the training\n"
    )
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "config.json",
        "metrics.jsonl",
        "checkpoint.safetensors",
        "last.safetensors",
    }


def test_an_existing_run_is_not_touched(invoke: Invoke, run_folder: Path):
    before = {path: path.read_bytes() for path in run_folder.iterdir()}
    result = invoke("train", "--out", run_folder)
    assert result.exit_code == 1
    assert result.stderr == (
        f"error: {run_folder}: expected a new or empty folder for the run, got one with a "
        "finished run; choose another with --out\n"
    )
    assert {path: path.read_bytes() for path in run_folder.iterdir()} == before


def test_the_help_says_what_a_failed_training_leaves(invoke: Invoke):
    assert "checkpoint.safetensors" in invoke("train", "--help").stdout
