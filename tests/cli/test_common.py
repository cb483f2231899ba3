from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info
from typer.testing import Result

from tinygrad_ckn import get_num_threads
from tinygrad_ckn.cli import common as _common
from tinygrad_ckn.cli import train as _train
from tinygrad_ckn.data import load_digits
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.training import Run

Invoke = Callable[..., Result]


def test_paths_are_kept_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    assert _common.source_of("x.npz", None, {"scale": 2.0}) == {
        "data": f"{tmp_path}/x.npz",
        "data_dir": None,
        "reading": {"scale": 2.0},
    }
    assert _common.source_of("cifar10", Path("c"), {}) == {
        "reading": {},
        "data": "cifar10",
        "data_dir": f"{tmp_path}/c",
    }

    division = {"test_data": "t.npz", "holdout": 0.5}
    assert _common.source_of("x.npz", None, {}, division)["division"] == {
        "test_data": f"{tmp_path}/t.npz",
        "holdout": 0.5,
    }


SMALL = ("--model", "unsup-32-64", "--n-patches", 500, "--iterations", 1, "--threads", 1)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, np.ndarray]]:
    """The arrays of a.npz, 120 images of 12 groups, t.npz and v.npz, in this folder."""
    monkeypatch.chdir(tmp_path)
    digits = load_digits().train
    arrays = {
        name: {"images": digits.images[rows], "labels": digits.labels[rows]}
        for name, rows in (("a", slice(120)), ("t", slice(120, 160)), ("v", slice(160, 200)))
    }
    arrays["a"]["who"] = np.arange(120) // 10
    for name, of_file in arrays.items():
        np.savez(f"{name}.npz", **of_file)
    return arrays


@pytest.mark.parametrize(
    ("options", "parts", "file", "config"),
    [
        (
            ("--test-data", "t.npz", "--validation-data", "v.npz", "--mode", "supervised"),
            "120 training, 40 validation and 40 test",
            "t",
            {"train": 120, "test": 40, "validation": 40},
        ),
        (("--group", "who"), "90 training and 30 test", "a", {"train": 90, "test": 30}),
        (
            ("--group", "who", "--holdout", 0.5),
            "60 training and 60 test",
            "a",
            {"train": 60, "test": 60, "division": {"holdout": 0.5}},
        ),
    ],
)
def test_evaluate_measures_on_the_test_images_of_the_run(
    invoke: Invoke, files, options: tuple[object, ...], parts: str, file: str, config: dict
):
    epochs = ("--epochs", 1) if "supervised" in options else ()
    trained = invoke("train", "--data", "a.npz", *SMALL, *options, *epochs, "--out", "r")
    assert trained.exit_code == 0, trained.stderr
    if file == "a":
        # Whole groups of 10 images, as near to the share as they allow.
        assert "test images of 1x8x8" in trained.stdout
    else:
        assert trained.stdout.startswith(f"a: {parts} images of 1x8x8, 10 classes\n")
    data = Run.open("r").config["data"]
    if file == "t":
        assert {name: data[name] for name in config} == config
        assert len(data["fingerprints"]["validation"]) == 8 * 40
    n = data["test"]
    last = trained.stdout.splitlines()[-1]
    assert last.endswith(f"/{n})")
    # The file is reordered and has more images.
    order = np.random.default_rng(0).permutation(len(files[file]["labels"]))
    more = load_digits().test.take(np.arange(9))
    images = np.concatenate([more.images, files[file]["images"][order]])
    labels = np.concatenate([more.labels, files[file]["labels"][order]])
    groups = {} if file == "t" else {"who": np.concatenate([np.full(9, 99), files[file]["who"]])}
    np.savez(f"{file}.npz", images=images, labels=labels, **groups)
    again = invoke("evaluate", "r")
    assert again.stdout.splitlines()[0] == f"the {n} test images of {file}.npz"
    assert again.stdout.splitlines()[-1] == last
    np.savez(f"{file}.npz", images=more.images, labels=more.labels)
    assert f"expected the {n} images that the run held out, got 0" in invoke("evaluate", "r").stderr


def test_all_images_may_be_trained_on(invoke: Invoke, files):
    trained = invoke("train", "--data", "a.npz", *SMALL, "--holdout", 0, "--out", "r")
    assert trained.stdout.startswith("a: 120 training images of 1x8x8, 10 classes\n")
    assert trained.stdout.splitlines()[-1] == "no test images: trained on all 120 images"
    assert "test accuracy" not in trained.stdout
    run = Run.open("r")
    assert run.is_finished
    assert (run.config["data"]["test"], run.config["data"]["fingerprints"]["test"]) == (0, "")
    assert "There were no test images." in (run.folder / "report.html").read_text()
    assert (
        "expected a run with test images, got one trained on all" in invoke("evaluate", "r").stderr
    )
    other = invoke("evaluate", "r", "--data", "t.npz")
    assert other.stdout.startswith("all 40 images of t.npz\n")
    compared = invoke("compare", "unsup-32-64", "ckn5", "--data", "a.npz", "--holdout", 0)
    assert "error: compare: --holdout expected a share > 0" in compared.stderr


def test_copies_and_contradictions_are_told_and_recorded(invoke: Invoke, files):
    a = files["a"]
    np.savez("b.npz", images=a["images"][:20], labels=(a["labels"][:20] + (np.arange(20) < 3)) % 10)
    trained = invoke("train", "--data", "a.npz", *SMALL, "--test-data", "b.npz", "--out", "r")
    assert "20 of 20 test images are copies of training images, so that the" in trained.stderr
    assert "a: 6 images have an equal image with another label; correct" in trained.stderr
    data = Run.open("r").config["data"]
    assert (data["copies"], data["conflicting_labels"]) == ({"test in training": 20}, 6)
    groups = {"who": a["who"], "test_who": np.full(40, 3)}
    np.savez(
        "c.npz",
        images=a["images"],
        labels=a["labels"],
        test_images=files["t"]["images"],
        test_labels=files["t"]["labels"],
        **groups,
    )
    told = invoke("data", "c.npz", "--group", "who")
    assert "40 of 40 test images are of groups that training images are of" in told.stderr


def test_threads_limit_the_blas_and_the_pool(invoke: Invoke, monkeypatch: pytest.MonkeyPatch):
    seen = []

    def look(*args: Any, **options: Any) -> None:
        seen.extend(
            library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"
        )
        seen.append(get_num_threads())
        raise ConfigError("seen")

    monkeypatch.setattr(_train.loop, "train", look)
    before = get_num_threads()
    # One of them is not the default.
    for threads in (1, 2):
        seen.clear()
        assert invoke("train", "--threads", threads).exit_code == 1
        assert len(seen) > 1
        assert seen[-1] == threads
        assert max(seen) == threads
        assert get_num_threads() == before


@pytest.mark.parametrize(
    ("counts", "class_weight", "balanced"),
    [((2, 4), None, False), ((2, 9), None, True), ((2, 2), "balanced", True)],
)
def test_balanced_accuracy_is_told_before_the_last_line(counts, class_weight, balanced, capsys):
    first, second = counts
    _common.echo_accuracy(np.array([[first, 0], [1, second - 1]]), class_weight)
    *before, last = capsys.readouterr().out.splitlines()
    assert last.startswith("test accuracy 0.")
    mean = (1 + (second - 1) / second) / 2
    assert before == [f"balanced accuracy {mean:.4f}, the mean over classes"] * balanced


def test_parts_whose_groups_are_not_known_are_told(invoke: Invoke, files):
    arguments = ("--data", "a.npz", *SMALL, "--group", "who", "--test-data", "t.npz", "--out", "r")
    trained = invoke("train", *arguments)
    assert "a: the groups of the 40 test images are not known, so that images of" in trained.stderr
