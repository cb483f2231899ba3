import json
import re
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import matplotlib.image
import pytest
from typer.testing import Result

from tinygrad_ckn.cli import compare as _compare
from tinygrad_ckn.errors import ConfigError, how_to_install
from tinygrad_ckn.models import FineTuning, build
from tinygrad_ckn.training import Run, loop
from tinygrad_ckn.training.folder import claim

Invoke = Callable[..., Result]
MODELS = ("unsup-32-64", "lenet-ckn", "lenet")
FAST = ("--n-patches", 1000, "--threads", 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compared") / "out"


@pytest.fixture(scope="module")
def compared(archive: Path, folder: Path, tinygrad_ckn: Callable[..., object]) -> object:
    options = (
        "--data",
        archive,
        "--epochs",
        2,
        "--lr",
        0.02,
        "--seed",
        3,
        "--preprocessing",
        "standardize",
    )
    return tinygrad_ckn("compare", *MODELS, *options, *FAST, "--out", folder)


def test_each_model_has_a_run(compared, folder: Path):
    assert (compared.returncode, compared.stderr) == (0, "")
    assert {path.name for path in folder.iterdir()} == {
        *MODELS,
        "comparison.json",
        "comparison.png",
    }
    for name in MODELS:
        run = Run.open(folder / name)
        options = run.config["options"]
        assert (options["model"], options["seed"], options["preprocessing"]) == (
            name,
            3,
            "standardize",
        )
        assert (options["mode"], options["n_patches"]) == (
            "supervised" if "lenet" in name else "unsupervised",
            1000,
        )
        assert (options["descent"] or {"epochs": None})["epochs"] == (
            2 if "lenet" in name else None
        )
        assert (folder / name / "filters.png").is_file()


def test_the_file_agrees_with_the_runs(compared, folder: Path, archive: Path):
    content = json.loads((folder / "comparison.json").read_text())
    assert content["data"] == {
        "name": "some",
        "data": str(archive),
        "data_dir": None,
        "reading": {},
    }
    assert list(content["models"]) == list(MODELS)
    for name, found in content["models"].items():
        records = Run.open(folder / name).records()
        assert {key: found[key] for key in ("accuracy", "correct", "total")} == {
            key: records[-1][key] for key in ("accuracy", "correct", "total")
        }
        assert found["epochs"] == [record for record in records if record["phase"] == "epoch"]
        assert len(found["epochs"]) == (2 if "lenet" in name else 0)
        assert found["seconds"] == pytest.approx(sum(records[-1]["seconds"].values()), abs=1e-3)
        model = build(name, in_channels=1, image_size=8, n_classes=10)
        assert found["parameters"] == sum(p.size for p in model.parameters())


def test_output_in_a_pipe(compared, folder: Path):
    assert not re.search(r"[^\n\x20-\x7e]", compared.stdout)
    lines = compared.stdout.splitlines()
    assert lines[0] == "some: 200 training and 80 test images of 1x8x8, 10 classes"
    assert [line for line in lines if line.removesuffix(":") in MODELS] == [
        f"{name}:" for name in MODELS
    ]
    content = json.loads((folder / "comparison.json").read_text())["models"]
    for name, line in zip(MODELS, lines[-4:-1], strict=True):
        found = content[name]
        share = f"{found['accuracy']:.4f} ({found['correct']}/80)"
        cost = f"{found['seconds']:.1f} s, {found['parameters']:,} parameters"
        start = f"{name}: test accuracy {share}, {cost}"
        end = ""
        if found["epochs"]:
            last = found["epochs"][-1]["validation_accuracy"]
            end = (
                f", {last:.4f} at the end of the last epoch, before the classifier was fitted again"
            )
        assert line == start + end
    assert lines[-1] == f"runs, comparison.json and comparison.png in {folder}"


def test_the_picture_shows_something(compared, folder: Path):
    picture = matplotlib.image.imread(folder / "comparison.png")
    assert picture.shape[:2] == (480, 1320)
    for part in (picture[:, :660], picture[:, 660:]):
        assert (part[..., :3].min(axis=2) < 0.9).mean() > 0.01


def test_a_terminal_gets_a_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "100")
    result = {
        "accuracy": 0.95,
        "correct": 19,
        "total": 20,
        "seconds": 12.34,
        "parameters": 12345,
        "epochs": [],
    }
    _compare._show({"ckn5": result, "lenet-ckn": {**result, "seconds": 1.0}})
    lines = [
        line.split() for line in re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
    ]
    assert lines == [
        ["model", "test", "accuracy", "seconds", "parameters"],
        ["ckn5", "0.9500", "(19/20)", "12.3", "12,345"],
        ["lenet-ckn", "0.9500", "(19/20)", "1.0", "12,345"],
    ]


def test_a_table_tells_the_last_epoch_from_the_classifier_fitted_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")
    epochs = [
        {"train_accuracy": 0.5, "validation_accuracy": 0.6},
        {"train_accuracy": 0.25, "validation_accuracy": 0.3},
    ]
    shared = {
        "accuracy": 0.978,
        "correct": 978,
        "total": 1000,
        "seconds": 12.34,
        "parameters": 12345,
    }
    _compare._show({"unsup-32-64": shared | {"epochs": []}, "lenet": shared | {"epochs": epochs}})
    *table, note = capsys.readouterr().out.splitlines()
    assert [line.split() for line in table] == [
        ["model", "last", "epoch", "test", "accuracy", "seconds", "parameters"],
        ["unsup-32-64", "-", "0.9780", "(978/1000)", "12.3", "12,345"],
        ["lenet", "0.3000", "0.9780", "(978/1000)", "12.3", "12,345"],
    ]
    assert note == (
        "last epoch: accuracy at the end of the last epoch, before the classifier was fitted "
        "again; the test accuracy is that of the new classifier"
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["lenet"], "compare: argument MODEL expected two or more different models, got lenet"),
        (
            ["lenet", "lenet"],
            "compare: argument MODEL expected two or more different models, got lenet lenet",
        ),
        (["lenet", "resnet"], "train: --model expected 'unsup-32-64'"),
        (
            ["unsup-32-64", "unsup-64-256", "--epochs", "3"],
            "compare: --epochs expected a model that is fine-tuned, got unsup-32-64 "
            "unsup-64-256, which",
        ),
        (
            ["unsup-32-64", "unsup-64-256", "--batch-size", "3"],
            "compare: --batch-size expected a model that is fine-tuned",
        ),
        (
            ["lenet", "ckn5", "--augment", "turn"],
            "train: --augment expected 'crop-flip', got 'turn'",
        ),
        (
            ["lenet", "ckn5", "--data", "nothing.npz"],
            "nothing.npz: expected an .npz file, got nothing",
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
    result = invoke("compare", *arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {sentence}")
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


ALL_OPTIONS = {
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
    "--no-alternating": (False, "alternating"),
    "--refit-classifier-every": (2, "refit_classifier_every"),
    "--validation": (0.2, "validation"),
    "--patience": (4, "patience"),
    "--augment": ("crop-flip", "augment"),
    "--seed": (5, "seed"),
}


def test_every_option_reaches_the_trainings(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    seen: list[dict[str, Any]] = []

    def look(dataset: Any, *, out: Any, source: Any, report: Any, **options: Any) -> None:
        seen.append(options)
        if len(seen) == 3:
            raise ConfigError("seen")

    monkeypatch.setattr(_compare.loop, "train", look)
    monkeypatch.setattr(_compare, "_record", lambda result: {})
    given = [
        part
        for name, (value, _) in ALL_OPTIONS.items()
        for part in ((name,) if isinstance(value, bool) else (name, value))
    ]
    result = invoke("compare", "lenet", "ckn5", "unsup-32-64", *given, "--out", tmp_path / "out")
    assert result.stderr == "error: seen\n"
    expected = {name: value for value, name in ALL_OPTIONS.values()}
    of_descent = {field.name for field in fields(FineTuning)}
    for options, name in zip(seen, ("lenet", "ckn5", "unsup-32-64"), strict=True):
        left_out = of_descent if name == "unsup-32-64" else set()
        kept = {key: value for key, value in expected.items() if key not in left_out}
        assert options == {"model": name, **kept}


def test_finished_trainings_are_in_the_file_if_the_next_one_is_interrupted(
    invoke: Invoke, archive: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    train = loop.train

    def stop(*args: Any, **options: Any) -> Any:
        if options["model"] == "lenet":
            raise KeyboardInterrupt
        return train(*args, **options)

    monkeypatch.setattr(_compare.loop, "train", stop)
    out = tmp_path / "out"
    result = invoke("compare", "unsup-32-64", "lenet", "--data", archive, *FAST, "--out", out)
    assert result.exit_code == 130
    found = json.loads((out / "comparison.json").read_text())["models"]
    assert list(found) == ["unsup-32-64"]
    assert found["unsup-32-64"]["correct"] == Run.open(out / "unsup-32-64").records()[-1]["correct"]


def test_a_folder_with_files_is_not_changed(invoke: Invoke, archive: Path, tmp_path: Path):
    (tmp_path / "notes").write_text("mine")
    result = invoke("compare", "lenet", "lenet-ckn", "--data", archive, "--out", tmp_path)
    assert result.exit_code == 1
    assert result.stderr.startswith(
        f"error: {tmp_path}: expected a new or empty folder for the run, got one that holds"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


def test_a_folder_that_another_comparison_writes_to_is_refused(
    invoke: Invoke, archive: Path, tmp_path: Path
):
    out = tmp_path / "out"
    with claim(out, "compare"):
        result = invoke("compare", "unsup-32-64", "lenet", "--data", archive, "--out", out)
        assert result.exit_code == 1
        assert result.stderr.startswith(
            f"error: {out}: expected a folder that no other run writes to, got one that"
        )
        assert [path.name for path in out.iterdir()] == ["training.lock"]


def test_without_matplotlib_everything_except_pictures_is_written(
    invoke: Invoke, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    out = tmp_path / "out"
    options = ("--data", archive, "--epochs", 1, "--lr", 0.02, *FAST)
    result = invoke("compare", "lenet", "unsup-32-64", *options, "--out", out)
    assert result.exit_code == 0
    assert result.stderr == (
        "warning: plots: expected matplotlib to draw a picture, got no such package; "
        f"{how_to_install('plots')}\n"
    )
    assert result.stdout.splitlines()[-1] == f"runs and comparison.json in {out}"
    assert {path.name for path in out.iterdir()} == {"lenet", "unsup-32-64", "comparison.json"}
    assert {path.name for path in (out / "lenet").iterdir()} == {
        "README.txt",
        "config.json",
        "metrics.jsonl",
        "model.safetensors",
        "report.html",
        "test.json",
    }
