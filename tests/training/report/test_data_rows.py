from pathlib import Path

import numpy as np
from typer.testing import CliRunner

from tinygrad_ckn.cli import app
from tinygrad_ckn.data import load_digits
from tinygrad_ckn.training import Run
from tinygrad_ckn.training.report.data_rows import data_rows, doubts
from tinygrad_ckn.training.report.facts import facts_of

DIGITS = load_digits().train


def train(*arguments: object) -> None:
    small = ("--model", "unsup-32-64", "--n-patches", "300", "--iterations", "1")
    done = CliRunner().invoke(app, ["train", *map(str, arguments), *small])
    assert done.exit_code == 0, done.output


def test_parts_their_sources_and_what_is_doubtful(tmp_path: Path):
    images = np.rint(255 * DIGITS.images[:160, 0]).astype(np.uint8)
    labels = DIGITS.labels[:160].copy()
    who = np.arange(160) // 8
    # A copy with its label, one with another, and an image of a subject of the training.
    images[130], labels[130] = images[2], labels[2]
    images[131], labels[131] = images[3], (labels[3] + 1) % 10
    who[140] = 0
    np.savez(tmp_path / "a.npz", images=images[:120], labels=labels[:120], who=who[:120])
    np.savez(tmp_path / "b.npz", images=images[120:], labels=labels[120:], who=who[120:])
    train(
        *("--data", tmp_path / "a.npz", "--test-data", tmp_path / "b.npz", "--group", "who"),
        *("--out", tmp_path / "run"),
    )
    run = Run.open(tmp_path / "run")
    rows = dict(data_rows(run.config))
    assert rows["test images from"] == str(tmp_path / "b.npz")
    assert (rows["training images"], rows["test images"]) == ("120", "40")
    assert rows["images that stay together"] == "who"
    sentences = doubts(run.config)
    assert sentences == [
        "2 of 40 test images are copies of training images: the accuracy is too high.",
        "1 of 40 test images are of groups that training images are of: the accuracy may be too "
        "high.",
        "2 images have an equal image with another label.",
    ]
    assert facts_of(run).notes[-3:] == sentences


def test_a_run_without_test_images_says_so(tmp_path: Path):
    images = np.rint(255 * DIGITS.images[:90, 0]).astype(np.uint8)
    np.savez(tmp_path / "a.npz", images=images, labels=DIGITS.labels[:90])
    train("--data", tmp_path / "a.npz", "--holdout", "0", "--out", tmp_path / "run")
    run = Run.open(tmp_path / "run")
    rows = dict(data_rows(run.config))
    assert (rows["share held out for testing"], rows["training images"]) == ("0", "90")
    assert "test images" not in rows
    assert "There were no test images." in facts_of(run).notes
