from dataclasses import asdict, fields
from typing import Any

import pytest

from tinygrad_ckn.data import crop_flip
from tinygrad_ckn.errors import BackendError, ConfigError
from tinygrad_ckn.models import FineTuning
from tinygrad_ckn.training import Options, options


def test_defaults_of_an_unsupervised_training():
    assert options.resolve("digits") == Options(
        model="unsup-32-64",
        mode="unsupervised",
        preprocessing=None,
        mirror_average=None,
        loss="squared_hinge",
        n_patches=200_000,
        iterations=30,
        seed=0,
        device="cpu",
        descent=None,
    )
    assert options.resolve("digits").make_descent() is None


def test_defaults_of_a_supervised_training_are_those_of_the_descent():
    resolved = options.resolve("cifar10", model="ckn14")
    assert resolved.mode == "supervised"
    assert resolved.descent == asdict(FineTuning())
    assert resolved.make_descent() == FineTuning()


def test_larger_images_get_the_larger_model():
    assert options.resolve("fashion-mnist").model == "unsup-64-256"


def test_photographs_are_whitened_and_mirrored_by_default():
    resolved = options.resolve("cifar10")
    assert (resolved.preprocessing, resolved.mirror_average) == ("local_whitening", "features")
    resolved = options.resolve("cifar10", preprocessing="none", mirror_average="none")
    assert (resolved.preprocessing, resolved.mirror_average) == (None, None)
    resolved = options.resolve("fashion-mnist")
    assert (resolved.preprocessing, resolved.mirror_average) == (None, None)
    resolved = options.resolve(
        "fashion-mnist", preprocessing="standardize", mirror_average="scores"
    )
    assert (resolved.preprocessing, resolved.mirror_average) == ("standardize", "scores")


def test_given_options_are_kept():
    given: dict[str, Any] = {
        "model": "unsup-32-64",
        "mode": "supervised",
        "preprocessing": "patch_zca",
        "mirror_average": "features",
        "loss": "cross_entropy",
        "n_patches": 5,
        "iterations": 6,
        "seed": 9,
        "device": "cpu",
        "checkpoint_every": "2e",
        "csv": True,
        "tensorboard": True,
        "init_from": "runs/other",
    }
    descent: dict[str, Any] = {
        "epochs": 3,
        "batch_size": 1,
        "optimizer": "adam",
        "lr": 1,
        "momentum": 0.5,
        "warmup": 2,
        "schedule": "step",
        "alternating": False,
        "refit_classifier_every": None,
        "l2": 1e-3,
        "label_smoothing": 0.1,
        "mixup": 0.2,
        "clip_norm": 1,
        "ema": 0.99,
        "augment": "crop-flip",
        "validation": 0.3,
        "freeze": (1,),
        "patience": 4,
    }
    assert set(descent) == {field.name for field in fields(FineTuning)}
    resolved = options.resolve("x", **given, **descent)
    assert resolved == Options(**given, descent=descent)
    assert resolved.make_descent() == FineTuning(**descent | {"augment": crop_flip})


def test_none_stands_for_the_default():
    names = [field.name for field in fields(FineTuning)]
    assert (
        options.resolve("x", mode="supervised", **dict.fromkeys(names)).make_descent()
        == FineTuning()
    )
    assert options.resolve("x", **dict.fromkeys(names)).descent is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"model": "resnet"},
            "argument model expected 'unsup-32-64', .* or 'lenet', got 'resnet'",
        ),
        ({"mode": "semi"}, "argument mode expected 'unsupervised' or 'supervised', got 'semi'"),
        (
            {"preprocessing": "whiten"},
            "argument preprocessing expected 'gradient_map', .* or 'none', got 'whiten'",
        ),
        (
            {"loss": "hinge"},
            "argument loss expected 'cross_entropy' or 'squared_hinge', got 'hinge'",
        ),
        (
            {"epochs": 3},
            "argument epochs expected None in mode 'unsupervised', .* got 3; leave it out",
        ),
        ({"batch_size": 3}, "argument batch_size expected None"),
        ({"csv": True}, "argument csv expected False in mode 'unsupervised', .* no epochs"),
        ({"tensorboard": 1, "mode": "supervised"}, "argument tensorboard expected True or False"),
        ({"lr": 0.1}, "argument lr expected None"),
        ({"augment": "crop-flip"}, "argument augment expected None"),
        ({"alternating": True}, "argument alternating expected None in mode 'unsupervised'"),
        ({"validation": 0.1}, "argument validation expected None in mode 'unsupervised'"),
        (
            {"warmup": 0},
            "argument warmup expected None in mode 'unsupervised', .* got 0; leave it out",
        ),
        (
            {"model": "ckn5", "mode": "unsupervised", "lr": 0.1},
            "argument lr expected None in mode",
        ),
        (
            {"mode": "supervised", "n_patch": 1},
            "argument options expected 'model', 'mode', .* or 'patience', got 'n_patch'",
        ),
        (
            {"colour": 1},
            "'model', .*, 'n_patches', .*, 'seed', 'device', 'checkpoint_every', 'csv', "
            "'tensorboard', 'init_from', 'epochs', .* or 'patience', got 'colour'",
        ),
        ({"colour": None}, "argument options expected .*, got 'colour'"),
        (
            {"mode": "supervised", "alternating": "both"},
            "argument alternating expected True or False, got 'both'",
        ),
        (
            {"mode": "supervised", "augment": "turn"},
            "argument augment expected 'crop-flip', got 'turn'",
        ),
        (
            {"mode": "supervised", "epochs": -1},
            "argument epochs expected an integer >= 0, got -1",
        ),
        (
            {"mode": "supervised", "batch_size": 0},
            "argument batch_size expected an integer >= 1, got 0",
        ),
        ({"mode": "supervised", "lr": 0}, "argument lr expected a finite number > 0, got 0"),
        (
            {"mode": "supervised", "lr": float("nan")},
            "argument lr expected a finite number > 0, got nan",
        ),
        (
            {"mode": "supervised", "lr": float("inf")},
            "argument lr expected a finite number > 0, got inf",
        ),
        (
            {"mode": "supervised", "lr": "fast"},
            "argument lr expected a finite number > 0, got 'fast'",
        ),
        ({"iterations": 0}, "argument iterations expected an integer >= 1, got 0"),
        ({"n_patches": 0}, "argument n_patches expected an integer >= 1, got 0"),
        ({"seed": -1}, "argument seed expected an integer >= 0, got -1"),
        ({"seed": 0.5}, "argument seed expected an integer >= 0, got 0.5"),
    ],
)
def test_options_out_of_range(given: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        options.resolve("digits", **given)


def test_unknown_device():
    with pytest.raises(BackendError, match="expected 'cpu' or 'cuda', got 'tpu'"):
        options.resolve("digits", device="tpu")


def test_smoothing_is_refused_with_the_default_loss_before_data_are_read():
    with pytest.raises(ConfigError, match="argument label_smoothing expected 0 with the loss 'squ"):
        options.resolve("digits", mode="supervised", label_smoothing=0.1)
    resolved = options.resolve(
        "digits", mode="supervised", label_smoothing=0.1, loss="cross_entropy"
    )
    assert resolved.descent["label_smoothing"] == 0.1
