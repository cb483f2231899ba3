"""Every preset is saved and loaded as its class."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tinygrad_ckn.errors import DataError
from tinygrad_ckn.models import PRESETS, build
from tinygrad_ckn.training import load_model, save_model

IMAGES = np.random.default_rng(0).random((2, 1, 8, 8), dtype=np.float32)
QUICK = sorted(
    PRESETS.keys() - {"unsup-256-4096", "unsup-512-8192"}
)  # the matrices of these take seconds


@pytest.mark.parametrize("name", QUICK)
def test_a_loaded_preset_is_the_saved_one(name: str, tmp_path: Path):
    model = build(
        name, in_channels=1, image_size=8, n_classes=3, preprocessing="standardize", rng=1
    ).eval()
    model._fit_preprocessing(IMAGES)
    save_model(model, tmp_path / "model.safetensors")
    loaded = load_model(tmp_path)
    assert type(loaded).__name__ == PRESETS[name].model
    assert loaded.config() == model.config()
    for key, array in model.state_dict().items():
        np.testing.assert_array_equal(loaded.state_dict()[key], array)
    np.testing.assert_array_equal(loaded.scores(IMAGES), model.scores(IMAGES))


@pytest.mark.parametrize("kind", [None, "RNN"])
def test_a_model_of_an_unknown_class_is_refused(kind: str | None, tmp_path: Path):
    model = build("lenet", in_channels=1, image_size=8, n_classes=3)
    architecture = json.dumps({**model.config(), "model": kind})
    path = tmp_path / "model.safetensors"
    save_file(
        model.state_dict(),
        path,
        {"format": "tinygrad-ckn", "format_version": "1", "architecture": architecture},
    )
    with pytest.raises(
        DataError, match=f"from_config: expected model as one of CKN, CNN, got {kind!r}"
    ) as caught:
        load_model(path)
    assert "\n" not in str(caught.value)


def test_a_cnn_with_the_tensors_of_a_ckn_is_refused(tmp_path: Path):
    cnn, ckn = (
        build(name, in_channels=1, image_size=8, n_classes=3) for name in ("lenet", "lenet-ckn")
    )
    path = tmp_path / "model.safetensors"
    metadata = {
        "format": "tinygrad-ckn",
        "format_version": "1",
        "architecture": json.dumps(cnn.config()),
    }
    save_file(ckn.state_dict(), path, metadata)
    with pytest.raises(
        DataError,
        match=r"expected the tensors of the architecture in the file.*convolution\.weight",
    ):
        load_model(path)
