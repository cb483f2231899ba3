import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import typer

from tinygrad_ckn.data import load_labels, save_labels
from tinygrad_ckn.models import PRESETS

SCRIPT = Path(__file__).parents[2] / "examples" / "kernel_challenge.py"
NAMES = {"train": "Xtr.csv", "labels": "Ytr.csv", "test": "Xte.csv", "out": "Yte.csv"}


def stripes(n, rng):
    """Return images (n, 3, 8, 8) of waves, labelled 3 (vertical) or 7 (horizontal)."""
    labels = np.arange(n) % 2
    # (n, 8, 8)
    places = np.where(labels[:, None, None] == 0, np.arange(8)[:, None], np.arange(8))
    waves = np.sin(2.0 * places + rng.uniform(0, 6, (n, 1, 1)))
    colours = rng.uniform(-1, 1, (n, 3, 1, 1))
    return waves[:, None] * colours + rng.normal(0, 0.05, (n, 3, 8, 8)), np.array([3, 7])[labels]


def write_pixels(path, images, end="\n"):
    path.write_text(
        "".join(",".join(f"{pixel:.6g}" for pixel in image.ravel()) + end for image in images)
    )


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    images, labels = stripes(60, rng)
    write_pixels(tmp_path / "Xtr.csv", images)
    save_labels(tmp_path / "Ytr.csv", labels)
    write_pixels(tmp_path / "Xte.csv", stripes(40, rng)[0])
    return tmp_path


@pytest.fixture
def challenge(folder, monkeypatch, capsys):
    """Run the script in the folder; return its exit status, output and errors."""

    def run(*options, **paths):
        files = [
            part
            for name, file in NAMES.items()
            for part in (f"--{name}", str(folder / paths.get(name, file)))
        ]
        small = ("--image-shape", "3", "8", "8", "--n-patches", "2000")
        monkeypatch.setattr(
            sys, "argv", [str(SCRIPT), *files, *small, *(options or ("--preset", "unsup-32-64"))]
        )
        with pytest.raises(SystemExit) as caught:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        printed = capsys.readouterr()
        return caught.value.code or 0, printed.out, printed.err

    return run


@pytest.mark.parametrize("end", ["\n", ",\n"])
def test_classes_that_can_be_learned_are_learned(folder, challenge, end):
    images, labels = stripes(40, np.random.default_rng(1))
    write_pixels(folder / "Xte.csv", images, end)
    status, output, errors = challenge()
    assert (status, errors) == (0, "")
    assert "60 training and 40 test images, 2 classes" in output
    assert "fitting unsup-32-64 on 48 images, measuring on 12 others" in output
    (validation,) = [
        line.split()[2] for line in output.splitlines() if line.startswith("validation accuracy")
    ]
    assert float(validation) > 0.9
    assert np.mean(load_labels(folder / "Yte.csv") == labels) > 0.9
    first, *rows = (folder / "Yte.csv").read_text().splitlines()
    assert first == "Id,Prediction"
    assert [row.split(",")[0] for row in rows] == [str(i) for i in range(1, 41)]
    assert {row.split(",")[1] for row in rows} == {"3", "7"}


def test_both_files_are_scaled_by_the_range_of_the_training_images(folder):
    train, test = (
        np.loadtxt(folder / name, delimiter=",").reshape(-1, 3, 8, 8)
        for name in ("Xtr.csv", "Xte.csv")
    )
    read = runpy.run_path(str(SCRIPT))["read"]
    split, others = read(
        folder / "Xtr.csv", folder / "Ytr.csv", folder / "Xte.csv", (3, 8, 8), False
    )
    scale = train.max() - train.min()
    np.testing.assert_allclose(split.images, (train - train.min()) / scale, atol=1e-6)
    np.testing.assert_allclose(others, (test - train.min()) / scale, atol=1e-6)
    np.testing.assert_array_equal(split.labels, load_labels(folder / "Ytr.csv"))


def test_a_seed_gives_the_same_predictions_and_scale_and_offset_hardly_matter(folder, challenge):
    _, output, _ = challenge("--preset", "unsup-32-64", "--seed", "5")
    first = (folder / "Yte.csv").read_bytes()
    assert challenge("--preset", "unsup-32-64", "--seed", "5")[1] == output
    assert (folder / "Yte.csv").read_bytes() == first
    for name in ("Xtr.csv", "Xte.csv"):
        write_pixels(folder / name, 40 * np.loadtxt(folder / name, delimiter=",") - 300)
    assert challenge("--preset", "unsup-32-64", "--seed", "5")[0] == 0
    agreement = (
        load_labels(folder / "Yte.csv")
        == np.loadtxt(first.decode().splitlines()[1:], delimiter=",")[:, 1]
    )
    assert agreement.mean() > 0.9


def test_interleaved_pixels_are_read_as_such(folder, challenge):
    assert challenge()[0] == 0
    planes = (folder / "Yte.csv").read_bytes()
    for name in ("Xtr.csv", "Xte.csv"):
        rows = np.loadtxt(folder / name, delimiter=",").reshape(-1, 3, 8, 8)
        write_pixels(folder / name, rows.transpose(0, 2, 3, 1))
    assert challenge("--channels-last", "--preset", "unsup-32-64")[0] == 0
    assert (folder / "Yte.csv").read_bytes() == planes


def test_quick_is_a_preset(challenge):
    assert "fitting unsup-64-256 on 48 images" in challenge("--quick")[1]
    status, _, errors = challenge("--quick", "--preset", "unsup-64-256")
    assert status == 2
    assert "expected --quick or --preset, got both" in errors


def spoil(path, change):
    path.write_text(change(path.read_text()))


def cut(text):
    """Take the last cell of each line away."""
    return "\n".join(line.rpartition(",")[0] for line in text.splitlines())


@pytest.mark.parametrize(
    ("file", "change", "sentence"),
    [
        ("Xtr.csv", cut, "Xtr.csv: expected 192 pixels a row for images 3x8x8, got 191"),
        ("Xte.csv", cut, "Xte.csv: expected 192 pixels a row for images 3x8x8, got 191"),
        (
            "Xtr.csv",
            lambda text: text + "1,2\n",
            "Xtr.csv, row 61: expected 192 columns as in the rows above, got 2",
        ),
        (
            "Xte.csv",
            lambda text: text.replace(",", ",x", 1),
            "Xte.csv, row 1, column 2: expected a number, got 'x",
        ),
        (
            "Xtr.csv",
            lambda text: "\n".join(["5" + ",5" * 191] * 60),
            "Xtr.csv: expected images that differ, got 5.0",
        ),
        (
            "Ytr.csv",
            lambda text: text + "61,3\n",
            "Ytr.csv: expected 60 labels, one per image of ",
        ),
        (
            "Ytr.csv",
            lambda text: text.replace(",7", ",3"),
            "Ytr.csv: expected labels of at least two classes",
        ),
        (
            "Ytr.csv",
            lambda text: text.replace("2,7", "2,dog", 1),
            "Ytr.csv, row 3, column 2: expected labels of one",
        ),
    ],
)
def test_bad_files_get_one_sentence(folder, challenge, file, change, sentence):
    spoil(folder / file, change)
    status, _, errors = challenge()
    assert status == 1
    assert errors.startswith(f"error: {folder / sentence.split(',')[0].split(':')[0]}")
    assert sentence in errors
    assert errors.count("\n") == 1
    assert not (folder / "Yte.csv").exists()


@pytest.mark.parametrize(
    ("paths", "sentence"),
    [
        (
            {"train": "absent.csv"},
            "absent.csv: expected a CSV file of pixels, got nothing; check the path",
        ),
        (
            {"labels": "absent.csv"},
            "absent.csv: expected a CSV file of labels, got nothing; check the path",
        ),
        (
            {"out": "absent/Yte.csv"},
            "Yte.csv: expected a file to write, in a folder that exists; check --out",
        ),
        ({"out": "."}, ": expected a file to write, in a folder that exists; check --out"),
        (
            {"out": "Ytr.csv"},
            "Ytr.csv: expected an output file different from the input files; check --out",
        ),
    ],
)
def test_bad_paths_get_one_sentence_before_anything_is_fitted(folder, challenge, paths, sentence):
    labels = (folder / "Ytr.csv").read_bytes()
    status, output, errors = challenge(**paths)
    assert (status, output) == (1, "")
    assert sentence in errors
    assert errors.count("\n") == 1
    assert (folder / "Ytr.csv").read_bytes() == labels


# unknown, and a CNN
@pytest.mark.parametrize("name", ["alexnet", "lenet"])
def test_another_preset_than_one_of_a_ckn_gets_one_sentence_before_files_are_read(challenge, name):
    status, output, errors = challenge("--preset", name, train="absent.csv")
    assert (status, output) == (1, "")
    assert errors.startswith("error: --preset: expected one of unsup-32-64, ")
    assert errors.endswith(f", got {name!r}\n")


def test_the_help_names_no_cnn():
    command = typer.main.get_command(runpy.run_path(str(SCRIPT))["app"])
    (told,) = [parameter.help for parameter in command.params if parameter.name == "preset"]
    named = set(told.removeprefix("One of ").partition(";")[0].split(", "))
    assert (
        named == {name for name, found in PRESETS.items() if found.model == "CKN"} != set(PRESETS)
    )
