"""Tables of predictions."""

from pathlib import Path

import numpy as np
import pytest

from tinygrad_ckn.cli.predictions import Form, check_numbers
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.models import build

KEYS = [("a.png", "0"), ("b,c.png", "1")]
VALUES = np.array([[0.2, 0.7, 0.1], [0.4, 0.2, 0.4]])


def form(keys=("path",), **fields):
    return Form(("0", "1", "2"), ("cat", "dog", "eel"), "probability", keys, **fields)


def rows(chosen):
    return list(chosen.rows(KEYS, VALUES, 5))


def test_the_best_class():
    assert form().header == ("path", "class", "name", "probability")
    # Of equal classes the first, as argmax.
    assert rows(form()) == [("a.png", "1", "dog", "0.7000"), ("b,c.png", "0", "cat", "0.4000")]
    assert form(("file", "index")).header == ("file", "index", "class", "name", "probability")
    assert rows(form(("file", "index")))[1] == ("b,c.png", "1", "0", "cat", "0.4000")


def test_several_classes():
    assert form(top=2).header == ("path", "rank", "class", "name", "probability")
    assert rows(form(top=2)) == [
        ("a.png", "1", "1", "dog", "0.7000"),
        ("a.png", "2", "0", "cat", "0.2000"),
        ("b,c.png", "1", "0", "cat", "0.4000"),
        ("b,c.png", "2", "2", "eel", "0.4000"),
    ]


def test_all_classes():
    assert form(all_classes=True).header == ("path", "class", "cat", "dog", "eel")
    assert rows(form(all_classes=True))[0] == ("a.png", "1", "0.200000", "0.700000", "0.100000")


@pytest.mark.parametrize(
    ("kaggle", "header"),
    [("kaggle", ("ImageId", "Label")), ("kaggle-prediction", ("Id", "Prediction"))],
)
def test_submissions_are_numbered_from_one(kaggle, header):
    assert form(kaggle=kaggle).header == header
    assert rows(form(kaggle=kaggle)) == [("6", "1"), ("7", "0")]


def test_pictures_with_numbers_as_names_are_in_their_order():
    check_numbers([Path("x/1.png"), Path("y/002.png"), Path("3.jpg")])
    check_numbers([Path("2.png"), Path("a.png")])
    with pytest.raises(ConfigError, match=r"got 2\.png as number 1; give them in that order"):
        check_numbers([Path("2.png"), Path("1.png")])
    with pytest.raises(ConfigError, match=r"1 \.\. 1, or names that are no numbers, got 0\.png"):
        check_numbers([Path("0.png")])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((0, False, None), "argument top expected a number of classes, 1 .. 10, got 0"),
        ((11, False, None), "argument top expected a number of classes, 1 .. 10, got 11"),
        ((None, False, "csv"), "expected kaggle .* or kaggle-prediction .*, got csv"),
        ((2, True, None), "expected one of argument top and argument all, got several; choose one"),
        ((None, True, "kaggle"), "expected one of argument all and argument format, got several"),
    ],
)
def test_wrong_options(options, message):
    model = build("unsup-32-64", in_channels=1, image_size=8, n_classes=10)
    with pytest.raises(ConfigError, match=f"^predict: .*{message}"):
        Form.of(model, True, *options)


def test_only_tables_of_predictions_are_replaced(tmp_path):
    path = tmp_path / "out.csv"
    others = ["path,class,split\n", "ImageId,Label\n1,0\n", "path,class,cat,dog\n", "a\n"]
    for chosen in (form(), form(top=2), form(all_classes=True), form(kaggle="kaggle")):
        path.unlink(missing_ok=True)
        chosen.check_output(path)
        for text in others:
            path.write_text(text)
            with pytest.raises(ConfigError, match="expected a new file, or one that predict wrote"):
                chosen.check_output(path)
        path.write_text(",".join(chosen.header) + "\n")
        if chosen.kaggle is None:
            chosen.check_output(path)
