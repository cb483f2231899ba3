import csv
import io
import json
import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from safetensors.numpy import load_file, save_file
from typer.testing import Result

from tinygrad_ckn.cli.predict import predict
from tinygrad_ckn.data import load_digits, load_images
from tinygrad_ckn.training import Run, probabilities, save_model

Invoke = Callable[..., Result]


@pytest.fixture
def idx_file(tmp_path: Path) -> Path:
    """Five digits in an IDX file, written from the format's description."""
    pixels = np.round(load_digits().test.images[:5, 0] * 255).astype(np.uint8)
    path = tmp_path / "five-images-idx3-ubyte"
    path.write_bytes(struct.pack(">BBBBIII", 0, 0, 8, 3, *pixels.shape) + pixels.tobytes())
    return path


@pytest.fixture
def damaged(run_folder: Path, tmp_path: Path) -> Path:
    """A copy of the run, for a test to damage."""
    return Path(shutil.copytree(run_folder, tmp_path / "damaged"))


def test_file_names_that_are_not_text_are_written_to_a_csv_file(
    tinygrad_ckn: Callable[..., subprocess.CompletedProcess[str]], run_folder: Path, tmp_path: Path
):
    path = os.fsencode(tmp_path) + b"/b\xff.npy"
    with open(path, "wb") as file:  # noqa: PTH123  # a Path is text
        np.save(file, np.zeros((1, 1, 8, 8), "float32"))
    finished = tinygrad_ckn(
        "predict", run_folder, os.fsdecode(path), "--output", tmp_path / "out.csv"
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    assert (tmp_path / "out.csv").read_bytes().splitlines()[1].startswith(path + b",0,")
    printed = tinygrad_ckn("predict", run_folder, os.fsdecode(path)).stdout
    assert printed.startswith(f"{tmp_path}/b\\udcff.npy\t0\t")


def test_evaluate_ends_as_train_did(
    tinygrad_ckn: Callable[..., subprocess.CompletedProcess[str]],
    trained: subprocess.CompletedProcess[str],
    run_folder: Path,
):
    finished = tinygrad_ckn("evaluate", run_folder)
    assert (finished.returncode, finished.stderr) == (0, "")
    wanted = trained.stdout.splitlines()
    assert finished.stdout.splitlines() == [
        "the 80 test images of some.npz",
        *wanted[-13:-3],
        wanted[-1],
    ]


def test_evaluate_on_other_data(invoke: Invoke, run_folder: Path):
    result = invoke("evaluate", run_folder, "--data", "digits", "--threads", 1)
    assert result.exit_code == 0
    digits = load_digits()
    correct = int(
        (Run.open(run_folder).load().predict(digits.test.images) == digits.test.labels).sum()
    )
    lines = result.stdout.splitlines()
    assert (lines[0], lines[-1]) == (
        "the 360 test images of digits",
        f"test accuracy {correct / 360:.4f} ({correct}/360)",
    )


@pytest.mark.parametrize("suffix", [".npz", ".csv"])
def test_evaluate_on_all_images_of_another_file(
    invoke: Invoke, run_folder: Path, tmp_path: Path, suffix: str
):
    test, path = load_digits().test.take(np.arange(50)), tmp_path / f"fifty{suffix}"
    if suffix == ".npz":
        np.savez(path, images=test.images, labels=test.labels)
    else:
        np.savetxt(path, np.column_stack([test.labels, test.images.reshape(50, 64)]), delimiter=",")
    result = invoke("evaluate", run_folder, "--data", path)
    correct = int((Run.open(run_folder).load().predict(test.images) == test.labels).sum())
    lines = result.stdout.splitlines()
    assert (lines[0], lines[-1]) == (
        f"all 50 images of {path.name}",
        f"test accuracy {correct / 50:.4f} ({correct}/50)",
    )


def test_evaluate_on_the_images_held_out_from_the_data_of_the_run(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    train = load_digits().train.take(np.arange(300))
    np.savez("own.npz", images=train.images, labels=train.labels)
    assert (
        invoke(
            "train", "--data", "own.npz", "--model", "unsup-32-64", "--n-patches", 500, "--out", "r"
        ).exit_code
        == 0
    )
    for arguments in ([], ["--data", "own.npz"], ["--data", tmp_path / "own.npz"]):
        assert invoke("evaluate", "r", *arguments).stdout.startswith(
            "the 60 test images of own.npz\n"
        )
    Path("own.npz").rename("other.npz")
    assert invoke("evaluate", "r", "--data", "other.npz").stdout.startswith(
        "the 60 test images of other.npz, without 240 that the model was trained on\n"
    )
    assert (
        "gone.npz: expected an .npz file, got nothing"
        in invoke("evaluate", "r", "--data", "gone.npz").stderr
    )


@pytest.mark.parametrize("command", [["predict"], ["evaluate", "--data"]])
def test_images_of_another_scale_are_refused(
    invoke: Invoke, run_folder: Path, tmp_path: Path, command: list[str]
):
    test, path = load_digits().test.take(np.arange(9)), tmp_path / "wide.npz"
    for factor, error in (
        (1, ""),
        (2, ""),
        (255, "of 255; pass the divisor"),
        (1 / 255, "of 0.00392157; pass the divisor"),
    ):
        np.savez(path, images=np.float32(factor) * test.images, labels=test.labels)
        result = invoke(command[0], run_folder, *command[1:], path)
        assert (result.exit_code, error in result.stderr) == (int(error != ""), True)
        assert result.stderr.count("\n") == result.exit_code
    np.savez(path, images=np.float32(255) * test.images, labels=test.labels)
    told = invoke(command[0], run_folder, *command[1:], path, "--scale", 255)
    np.savez(path, images=test.images, labels=test.labels)
    assert told.stdout == invoke(command[0], run_folder, *command[1:], path).stdout
    images = np.concatenate([test.images, 255 * test.images[:1]])
    np.savez(path, images=images, labels=np.append(test.labels, test.labels[0]))
    result = invoke(command[0], run_folder, *command[1:], path)
    assert (result.exit_code, result.stderr.count("\n")) == (0, 1)
    assert "got 1 of 10 images, the first at index 9, with a largest pixel of 255" in result.stderr


def test_predict_prints_a_tab_separated_line_an_image(
    tinygrad_ckn: Callable[..., subprocess.CompletedProcess[str]],
    run_folder: Path,
    archive: Path,
    idx_file: Path,
):
    finished = tinygrad_ckn("predict", run_folder, archive, idx_file)
    assert (finished.returncode, finished.stderr) == (0, "")
    rows = [line.split("\t") for line in finished.stdout.splitlines()]
    model, expected = Run.open(run_folder).load(), []
    for file in (archive, idx_file):
        for index, row in enumerate(probabilities(model, load_images(file))):
            expected.append(
                [str(file), str(index), str(row.argmax()), str(row.argmax()), f"{row.max():.4f}"]
            )
    assert [row[:4] for row in rows] == [row[:4] for row in expected]
    np.testing.assert_allclose(
        [float(row[4]) for row in rows], [float(row[4]) for row in expected], atol=2e-4
    )
    assert len(rows) == 205
    assert np.mean([int(row[2]) for row in rows[200:]] == load_digits().test.labels[:5]) >= 0.8


def test_predict_names_the_classes(invoke: Invoke, damaged: Path, idx_file: Path):
    config = json.loads((damaged / "config.json").read_text())
    config["data"]["class_names"] = [f"class {i}" for i in range(10)]
    (damaged / "config.json").write_text(json.dumps(config))
    for line in invoke("predict", damaged, idx_file).stdout.splitlines():
        _, _, number, name, _ = line.split("\t")
        assert name == f"class {number}"


def test_predict_writes_csv(invoke: Invoke, run_folder: Path, idx_file: Path, tmp_path: Path):
    printed = invoke("predict", run_folder, idx_file).stdout
    result = invoke("predict", run_folder, idx_file, "--output", tmp_path / "found.csv")
    assert result.stdout == f"wrote the classes of 5 images to {tmp_path}/found.csv\n"
    with (tmp_path / "found.csv").open(newline="") as stream:
        header, *rows = csv.reader(stream)
    assert header == ["file", "index", "class", "name", "probability"]
    assert rows == [line.split("\t") for line in printed.splitlines()]


def test_a_model_of_an_earlier_version_without_a_temperature_has_scores(
    invoke: Invoke, run_folder: Path, idx_file: Path, tmp_path: Path
):
    model = Run.open(run_folder).load()
    images = load_images(idx_file)
    expected = model.scores(images).max(axis=1)
    model.temperature = None
    save_model(model, tmp_path / "old.safetensors")
    output = tmp_path / "found.csv"
    invoke("predict", tmp_path / "old.safetensors", idx_file, "--output", output)
    header, *rows = csv.reader(output.read_text().splitlines())
    assert header[-1] == "score"
    np.testing.assert_allclose([float(row[-1]) for row in rows], expected, atol=1e-4)


def test_predict_prints_a_table_on_a_terminal(
    run_folder: Path, idx_file: Path, monkeypatch: pytest.MonkeyPatch, invoke: Invoke
):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    printed = [
        line.split("\t") for line in invoke("predict", run_folder, idx_file).stdout.splitlines()
    ]
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setattr(sys, "stdout", terminal)
    predict(run_folder, [idx_file])
    header, *rows = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue()).splitlines()
    assert header.split() == ["file", "index", "class", "name", "probability"]
    assert [row.split() for row in rows] == printed


def test_files_that_are_not_images(invoke: Invoke, run_folder: Path, tmp_path: Path):
    (tmp_path / "notes.txt").write_text("hello")
    result = invoke("predict", run_folder, tmp_path / "notes.txt")
    assert result.exit_code == 1
    assert result.stderr.startswith(
        f"error: {tmp_path}/notes.txt: expected a picture, an .npy file, an .npz file"
    )
    np.save(tmp_path / "large.npy", np.zeros((2, 9, 9), np.float32))
    result = invoke("predict", run_folder, tmp_path / "large.npy")
    assert result.stderr == (
        f"error: {tmp_path}/large.npy: expected images 1x8x8 as those the model was trained on, "
        "got 1x9x9; bring them to that size\n"
    )


def test_messages_name_options_as_the_command_line_does(
    invoke: Invoke, run_folder: Path, tmp_path: Path
):
    (tmp_path / "odd.csv").write_text("0,1,7,3,4\n")
    result = invoke("predict", run_folder, tmp_path / "odd.csv")
    assert (
        "expected 64 pixels a row for images 1x8x8, got 5; pass their shape (C, H, W) as "
        "--image-shape" in result.stderr
    )
    (tmp_path / "numbered.csv").write_text("0,1,2,3,4\n0,0,7,0,0\n")
    result = invoke("predict", run_folder, tmp_path / "numbered.csv")
    assert "which can be both; say which with --header or --no-header\n" in result.stderr
    assert (
        "load: --data-dir expected None with 'digits',"
        in invoke("train", "--data-dir", tmp_path).stderr
    )


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_no_run(invoke: Invoke, tmp_path: Path, command: str):
    result = invoke(command, tmp_path, *(["x.npz"] if command == "predict" else []))
    assert result.exit_code == 1
    assert result.stderr == (
        f"error: {tmp_path}: expected the folder of a run, with a config.json, got none; "
        "check the path\n"
    )


def test_a_damaged_model(invoke: Invoke, damaged: Path):
    path = damaged / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    result = invoke("evaluate", damaged)
    assert result.exit_code == 1
    assert result.stderr.startswith(
        f"error: {path}: expected a whole safetensors file, got one that is cut off"
    )


def test_a_model_of_a_newer_format(invoke: Invoke, damaged: Path):
    path = damaged / "model.safetensors"
    save_file(
        load_file(path), path, {"format": "tinygrad-ckn", "format_version": "2", "version": "7.0"}
    )
    result = invoke("evaluate", damaged)
    assert result.exit_code == 1
    assert result.stderr == (
        f"error: {path}: expected format_version 1 or older, got 2, written by tinygrad-ckn 7.0; "
        "update the checkout of tinygrad-ckn (git pull)\n"
    )


@pytest.mark.parametrize("data", [None, {}, []])
def test_a_run_without_a_record_of_its_data(invoke: Invoke, damaged: Path, data: object):
    config = json.loads((damaged / "config.json").read_text())
    (damaged / "config.json").write_text(json.dumps({**config, "data": data}))
    result = invoke("evaluate", damaged)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {damaged}/config.json: expected ")


def test_a_model_of_another_run(invoke: Invoke, damaged: Path):
    config = json.loads((damaged / "config.json").read_text())
    config["data"]["class_names"] = ["cat", "dog"]
    (damaged / "config.json").write_text(json.dumps(config))
    result = invoke("evaluate", damaged)
    assert result.exit_code == 1
    assert "got another one; is it the model of another run?" in result.stderr


def test_data_that_moved(invoke: Invoke, damaged: Path):
    config = json.loads((damaged / "config.json").read_text())
    config["data"]["data"] = f"{os.sep}gone.npz"
    (damaged / "config.json").write_text(json.dumps(config))
    result = invoke("evaluate", damaged)
    assert result.exit_code == 1
    assert result.stderr == "error: /gone.npz: expected an .npz file, got nothing; check the path\n"


def test_output_replaces_nothing_but_predictions(
    invoke: Invoke, damaged: Path, idx_file: Path, tmp_path: Path
):
    notes = tmp_path / "notes.txt"
    notes.write_text("file, of which nobody has a copy")
    for path in (idx_file, damaged / "model.safetensors", damaged / "config.json", notes):
        before = path.read_bytes()
        result = invoke("predict", damaged, idx_file, "--output", path)
        assert result.exit_code == 1
        assert (
            f"{path}: expected a new file, or one that predict wrote, got another" in result.stderr
        )
        assert path.read_bytes() == before
    for folder in (tmp_path, "."):
        result = invoke("predict", damaged, idx_file, "--output", folder)
        assert "got a folder; give a file in it" in result.stderr
    out = tmp_path / "out.csv"
    out.touch()
    for _ in range(2):
        assert invoke("predict", damaged, idx_file, "--output", out).exit_code == 0
    assert len(out.read_text().splitlines()) == 6


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Twelve digits as pictures 1 .. 12 in a folder, one of them with colours."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for i, image in enumerate(load_digits().test.images[:12], 1):
        picture = Image.fromarray(np.round(image[0] * 255).astype(np.uint8))
        picture.convert("RGB" if i == 3 else "L").save(folder / f"{i}.png")
    return folder


def test_predict_of_pictures_prints_csv(invoke: Invoke, run_folder: Path, pictures: Path):
    wrong = invoke("predict", run_folder, pictures)
    assert (wrong.exit_code, wrong.stdout) == (1, "")
    assert "one kind, got 11 grey and 1 RGB, the first RGB one" in wrong.stderr
    assert wrong.stderr.endswith("scans/3.png; pass --grey or --rgb\n")
    result = invoke("predict", run_folder, pictures / "9.png", pictures, "--grey")
    header, *rows = csv.reader(io.StringIO(result.stdout))
    assert header == ["path", "class", "name", "probability"]
    order = [9, *range(1, 13)]
    assert [row[0] for row in rows] == [str(pictures / f"{i}.png") for i in order]
    images = load_digits().test.images[np.array(order) - 1]
    expected = probabilities(Run.open(run_folder).load(), images)
    assert [row[1] for row in rows] == [str(label) for label in expected.argmax(axis=1)]
    np.testing.assert_allclose([float(row[3]) for row in rows], expected.max(axis=1), atol=0.05)


def test_predict_of_several_or_all_classes(
    invoke: Invoke, run_folder: Path, pictures: Path, idx_file: Path
):
    lines = invoke("predict", run_folder, pictures, "--grey", "--top", 3).stdout.splitlines()
    assert lines[0] == "path,rank,class,name,probability"
    assert [line.split(",")[1] for line in lines[1:]] == ["1", "2", "3"] * 12
    best = invoke("predict", run_folder, pictures, "--grey").stdout.splitlines()
    assert [line.replace(",1,", ",", 1) for line in lines[1::3]] == best[1:]
    columns = invoke("predict", run_folder, idx_file, "--all").stdout.splitlines()
    assert columns[0] == "file,index,class,0,1,2,3,4,5,6,7,8,9"
    for line in columns[1:]:
        _, _, label, *values = line.split(",")
        assert sum(map(float, values)) == pytest.approx(1, abs=1e-5)
        assert int(label) == np.argmax([float(value) for value in values])


def test_predict_for_kaggle(
    invoke: Invoke, run_folder: Path, pictures: Path, idx_file: Path, tmp_path: Path
):
    out = tmp_path / "submission.csv"
    labels = [
        row.split("\t")[2] for row in invoke("predict", run_folder, idx_file).stdout.split("\n")[:5]
    ]
    invoke("predict", run_folder, idx_file, "--format", "kaggle", "-o", out)
    lines = [f"{i},{label}" for i, label in enumerate(labels, 1)]
    assert out.read_text().splitlines() == ["ImageId,Label", *lines]
    printed = invoke(
        "predict", run_folder, pictures, "--grey", "--format", "kaggle-prediction"
    ).stdout.splitlines()
    assert printed[:6] == ["Id,Prediction", *lines]
    assert len(printed) == 13
    # An existing submission may be the one that came from Kaggle.
    again = invoke("predict", run_folder, idx_file, "--format", "kaggle", "-o", out)
    assert "choose another with --output" in again.stderr
    wrong = invoke("predict", run_folder, pictures / "2.png", "--format", "kaggle")
    assert "got " in wrong.stderr
    assert "2.png as number 1; give them in that order, or rename them" in wrong.stderr


def test_pictures_are_read_as_those_of_the_training(invoke: Invoke, tmp_path: Path):
    digits = load_digits().train
    for i, (image, label) in enumerate(zip(digits.images[:200], digits.labels, strict=False)):
        folder = tmp_path / "set" / f"n{label}"
        folder.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(np.round(image[0] * 255).astype(np.uint8))
        # Of two sizes, and some with margins that the crop removes.
        picture = picture.resize((16, 16) if i % 2 else (8, 8)).convert("RGB" if i % 3 else "L")
        if i % 5 == 0:
            picture = ImageOps.expand(picture, (4, 0))
        picture.save(folder / f"{i}.png")
    options = ["--model", "unsup-32-64", "--n-patches", 500, "--out", tmp_path / "run"]
    mixed = invoke("train", "--data", tmp_path / "set", *options)
    assert mixed.exit_code == 1
    assert "pass --grey or --rgb and pass a height and a width as --resize\n" in mixed.stderr
    reading = ["--grey", "--resize", 8, 8, "--crop"]
    trained = invoke("train", "--data", tmp_path / "set", *reading, *options)
    assert trained.exit_code == 0, trained.stderr
    evaluated = invoke("evaluate", tmp_path / "run")
    assert evaluated.stdout.splitlines()[-1] == trained.stdout.splitlines()[-1]
    for path in (tmp_path / "set", tmp_path / "set" / "n3"):
        plain = invoke("predict", tmp_path / "run", path)
        assert plain.exit_code == 0, plain.stderr
        assert plain.stdout == invoke("predict", tmp_path / "run", path, *reading).stdout
    found = [row["class"] for row in csv.DictReader(io.StringIO(plain.stdout))]
    assert found.count("n3") >= 0.8 * len(found)
