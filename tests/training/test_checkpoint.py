import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save, save_file

import tinygrad_ckn
from tinygrad_ckn.errors import ConfigError, DataError, DTypeError
from tinygrad_ckn.models import CKN, CKNLayer, kernels
from tinygrad_ckn.models.preprocessing.base import Preprocessor
from tinygrad_ckn.models.preprocessing.standardize import Standardize
from tinygrad_ckn.nn import Linear, Parameter, Sequential, init
from tinygrad_ckn.training import load_model, save_model

IMAGES = np.random.default_rng(0).random((5, 1, 8, 8), dtype=np.float32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


@pytest.fixture
def metadata(model: CKN) -> dict[str, str]:
    return {
        "format": "tinygrad-ckn",
        "format_version": "1",
        "version": "0.1.0",
        "architecture": json.dumps(model.config()),
        "fitted": json.dumps(model.metadata()),
    }


def test_a_loaded_model_is_the_saved_one(model: CKN, path: Path):
    save_model(model, path)
    loaded = load_model(str(path))
    assert not loaded.training
    assert loaded.config() == model.config()
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(loaded.state_dict()[name], array)
    np.testing.assert_array_equal(loaded.scores(IMAGES), model.scores(IMAGES))


def test_the_file_is_safetensors_with_metadata(model: CKN, path: Path, metadata: dict[str, str]):
    save_model(model, path)
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert header["__metadata__"] == {**metadata, "version": tinygrad_ckn.__version__}
    assert load(content).keys() == model.state_dict().keys()


def test_equal_models_give_equal_bytes(new_model: Callable[[], CKN], path: Path):
    contents = set()
    # The order of safetensors itself is random.
    for _ in range(8):
        save_model(new_model(), path)
        contents.add(path.read_bytes())
    assert len(contents) == 1


def test_a_crash_keeps_the_model_that_was_there(
    model: CKN, path: Path, monkeypatch: pytest.MonkeyPatch
):
    save_model(model, path)
    before = path.read_bytes()
    model.classifier.bias.data = model.classifier.bias.data + 1

    def crash(*args: object) -> None:
        raise OSError("power failure")

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(OSError, match="power failure"):
        save_model(model, path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
    load_model(path)


def test_the_folder_of_a_run_is_enough(model: CKN, path: Path):
    save_model(model, path)
    assert load_model(path.parent).config() == model.config()


def test_only_a_ckn_is_saved(model: CKN, path: Path):
    for other in (model.classifier, model.layers[0]):
        with pytest.raises(
            DTypeError,
            match=rf"argument model expected a CKN or CNN, got {type(other).__name__}; save",
        ):
            save_model(other, path)
    assert not path.exists()


def test_a_custom_kernel_must_be_registered(path: Path, monkeypatch: pytest.MonkeyPatch):
    @dataclass(frozen=True)
    class Own(kernels.Kernel):
        def kappa(self, u: Any) -> Any:
            return 1 / (2 - u)

    model = CKN(1, 8, 3, [CKNLayer(1, 4, 3, kernel=Own())]).eval()
    with pytest.raises(ConfigError, match=r'and call kernels.register\("name", Own\)'):
        save_model(model, path)
    monkeypatch.setattr(kernels.base, "KERNELS", dict(kernels.base.KERNELS))
    monkeypatch.setattr(kernels.base, "_NAMES", dict(kernels.base._NAMES))
    kernels.register("own", Own)
    save_model(model, path)
    np.testing.assert_array_equal(load_model(path).scores(IMAGES), model.scores(IMAGES))
    del kernels.base.KERNELS["own"]
    with pytest.raises(DataError, match=r"a kernel of your own needs kernels\.register first"):
        load_model(path)


def test_missing_file_and_folder(path: Path):
    with pytest.raises(
        DataError, match="expected a model saved by save_model, got nothing; check the path"
    ):
        load_model(path)
    with pytest.raises(DataError, match="got a folder"):
        load_model(path.parent)


@pytest.mark.parametrize("cut", [0, 5, 100, -1])
def test_truncated(model: CKN, path: Path, cut: int):
    save_model(model, path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(
        DataError, match="expected a whole safetensors file, got one that is cut off"
    ):
        load_model(path)


def test_another_format(path: Path):
    path.write_bytes(b"PK\x03\x04" * 100)
    with pytest.raises(DataError, match="expected a whole safetensors file"):
        load_model(path)


@pytest.mark.parametrize("foreign", [None, {}, {"format": "pt"}])
def test_foreign_metadata(model: CKN, path: Path, foreign: dict[str, str] | None):
    save_file(model.state_dict(), path, foreign)
    with pytest.raises(
        DataError, match=r"expected metadata with format 'tinygrad-ckn', got (None|'pt')"
    ):
        load_model(path)


def test_newer_format(model: CKN, path: Path, metadata: dict[str, str]):
    save_file(model.state_dict(), path, {**metadata, "format_version": "2", "version": "9.1"})
    with pytest.raises(
        DataError,
        match=r"format_version 1 or older, got 2, written by tinygrad-ckn 9\.1; update the",
    ):
        load_model(path)


@pytest.mark.parametrize("version", ["", "one", "0", "-1"])
def test_an_invalid_format_version_is_refused(
    model: CKN, path: Path, metadata: dict[str, str], version: str
):
    save_file(model.state_dict(), path, {**metadata, "format_version": version})
    with pytest.raises(
        DataError, match=f"expected a format_version >= 1 in the metadata, got '{version}'"
    ):
        load_model(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda config: "",
        lambda config: "{",
        lambda config: "[]",
        lambda config: "null",
        lambda config: json.dumps({**config, "layers": []}),
        lambda config: json.dumps({**config, "layers": [{"in_channels": 1}]}),
        lambda config: json.dumps({**config, "image_size": [8]}),
        lambda config: json.dumps({**config, "in_channels": 2}),
        lambda config: json.dumps(
            {name: value for name, value in config.items() if name != "n_classes"}
        ),
    ],
)
def test_an_invalid_architecture_is_refused(
    model: CKN, path: Path, metadata: dict[str, str], change: Callable[[dict[str, object]], str]
):
    save_file(model.state_dict(), path, {**metadata, "architecture": change(model.config())})
    with pytest.raises(
        DataError, match=r"expected the architecture of a CKN or CNN in the metadata, got '"
    ):
        load_model(path)


def test_tensors_of_another_architecture(model: CKN, path: Path, metadata: dict[str, str]):
    state = model.state_dict()
    state["classifier.bias"] = state["classifier.bias"][:2]
    del state["layers.1.weight"]
    path.write_bytes(save(state, metadata))
    with pytest.raises(
        DataError, match="expected the tensors of the architecture in the file"
    ) as caught:
        load_model(path)
    assert "classifier.bias" in str(caught.value)
    assert "layers.1.weight" in str(caught.value)


class Squared(CKNLayer):
    def forward(self, x: Any, factors: Any = None) -> Any:
        return super().forward(x, factors) ** 2


class Mine(CKN):
    def _flat_features(self, x: Any) -> Any:
        return super()._flat_features(x) ** 2


class Negative(Preprocessor):
    name = "negative"

    def forward(self, x: Any) -> Any:
        return 1 - x

    def config(self) -> dict[str, Any]:
        return {"name": self.name}


class Darker(Standardize):
    def forward(self, x: Any) -> Any:
        return super().forward(x) - 1


def own_method(model: CKN) -> None:
    model.layers[0].forward = lambda x, factors=None: x


def own_parameter(model: CKN) -> None:
    model.scale = Parameter([1.0])


def own_classifier(model: CKN) -> None:
    model.classifier = Sequential(Linear(80, 5), Linear(5, 3))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: CKN(1, 8, 3, [Squared(1, 4, 3)]),
            r"got .*\.Squared of .*Exponential as layers\.0 where .* make .*CKNLayer",
        ),
        (
            lambda: CKN(1, 8, 3, [CKNLayer(1, 4, 3), Squared(4, 4, 3)]),
            r"\.Squared of .* as layers\.1 ",
        ),
        (
            lambda: Mine(1, 8, 3, [CKNLayer(1, 4, 3)]),
            r"got (.*\.Mine as the model|.*expected model as one of CKN, CNN)",
        ),
        (
            lambda: CKN(1, 8, 3, [CKNLayer(1, 4, 3)], preprocessing=Negative()),
            "expected a Preprocessor",
        ),
        (
            lambda: CKN(1, 8, 3, [CKNLayer(1, 4, 3)], preprocessing=["standardize", Negative()]),
            "expected a Preprocessor",
        ),
        (
            lambda: CKN(1, 8, 3, [CKNLayer(1, 4, 3)], preprocessing=Darker(1)),
            r"\.Darker as preprocessing where .*Standardize",
        ),
        (own_method, r"with its own forward\(\) of .* as layers\.0 where"),
        (own_parameter, r"got float64 \(1,\) as scale where load_model would make nothing"),
        (own_classifier, "Sequential as classifier where load_model would make .*Linear"),
    ],
)
def test_a_model_that_would_load_as_another_function_is_refused(
    make: Callable[..., Any], message: str, path: Path
):
    model = CKN(1, 8, 3, [CKNLayer(1, 4, 3)])
    model = make() if make.__name__ == "<lambda>" else (make(model), model)[1]
    with pytest.raises(
        ConfigError,
        match=f"^save_model: argument model expected .*{message}.*; wrap a CKN of this library",
    ):
        save_model(model, path)
    assert not path.exists()


def test_an_option_that_was_changed_is_saved_or_refused(model: CKN, path: Path):
    model.layers[0].eps = 0.5
    save_model(model, path)
    np.testing.assert_array_equal(load_model(path).scores(IMAGES), model.scores(IMAGES))


def test_saving_and_loading_draw_no_random_numbers(
    model: CKN, path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(init.backend, "default_rng", lambda seed: pytest.fail("it drew"))
    save_model(model, path)
    load_model(path)
