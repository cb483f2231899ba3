import inspect
from typing import Any

import pytest

from tinygrad_ckn.errors import BackendError, ConfigError
from tinygrad_ckn.models import CKN
from tinygrad_ckn.training import Options, options


def test_defaults_of_an_unsupervised_training():
    assert options.resolve("digits") == Options(
        model="unsup-32-64",
        mode="unsupervised",
        epochs=None,
        batch_size=None,
        lr=None,
        augment=None,
        n_patches=100_000,
        seed=0,
        device="cpu",
    )


def test_defaults_of_a_supervised_training_are_those_of_the_model():
    resolved = options.resolve("cifar10", model="ckn14")
    assert resolved.mode == "supervised"
    parameters = inspect.signature(CKN.fit).parameters
    for name in ("epochs", "batch_size", "lr", "n_patches"):
        assert getattr(resolved, name) == parameters[name].default, name


def test_larger_images_get_the_larger_model():
    assert options.resolve("fashion-mnist").model == "unsup-64-256"


def test_what_is_given_is_kept():
    given: dict[str, Any] = {
        "model": "unsup-32-64",
        "mode": "supervised",
        "epochs": 0,
        "batch_size": 1,
        "lr": 1,
        "augment": "crop-flip",
        "n_patches": 5,
        "seed": 9,
        "device": "cpu",
    }
    assert options.resolve("x", **given) == Options(**given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model": "resnet"}, "argument model expected one of unsup-32-64, .*, lenet, got 'resnet'"),
        ({"mode": "semi"}, "argument mode expected 'unsupervised' or 'supervised', got 'semi'"),
        ({"epochs": 3}, "argument epochs expected nothing in mode 'unsupervised', .* got 3; leave it out"),
        ({"batch_size": 3}, "argument batch_size expected nothing"),
        ({"lr": 0.1}, "argument lr expected nothing"),
        ({"augment": "crop-flip"}, "argument augment expected nothing"),
        ({"mode": "supervised", "augment": "turn"}, "argument augment expected 'crop-flip' or nothing, got 'turn'"),
        ({"mode": "supervised", "epochs": -1}, "argument epochs expected a whole number >= 0, got -1"),
        ({"mode": "supervised", "batch_size": 0}, "argument batch_size expected a whole number >= 1, got 0"),
        ({"mode": "supervised", "lr": 0}, "argument lr expected a finite number > 0, got 0"),
        ({"mode": "supervised", "lr": float("nan")}, "argument lr expected a finite number > 0, got nan"),
        ({"mode": "supervised", "lr": float("inf")}, "argument lr expected a finite number > 0, got inf"),
        ({"mode": "supervised", "lr": "fast"}, "argument lr expected a finite number > 0, got 'fast'"),
        ({"n_patches": 0}, "argument n_patches expected a whole number >= 1, got 0"),
        ({"seed": -1}, "argument seed expected a whole number >= 0, got -1"),
        ({"seed": 0.5}, "argument seed expected a whole number >= 0, got 0.5"),
    ],
)
def test_options_out_of_range(given: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        options.resolve("digits", **given)


def test_unknown_device():
    with pytest.raises(BackendError, match="expected 'cpu' or 'cuda', got 'tpu'"):
        options.resolve("digits", device="tpu")
