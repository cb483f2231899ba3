"""Any file gives the right model or one sentence, with bounded memory."""

import json
import math
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_ckn.errors import DataError
from tinygrad_ckn.models import CKN, CKNLayer
from tinygrad_ckn.training import load_model, save_model

LAYERS = [
    CKNLayer(2, 4, 3, subsampling=2, center=True, rng=1),
    CKNLayer(4, 5, 2, kernel="arccos1", rng=2),
]
MODEL = CKN(1, 6, 4, LAYERS, preprocessing={"name": "gradient_map", "n_orientations": 2}, rng=3)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "model.safetensors"
    save_model(MODEL, path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damaged") / "model.safetensors"


def with_header(content: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """Return a safetensors file with another header before the same tensors."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


def refused(path: Path, content: bytes) -> str | None:
    """Return the sentence that refuses a file, None if it is accepted."""
    path.write_bytes(content)
    try:
        model = load_model(path)
    except DataError as error:
        assert str(error).isprintable()
        assert len(str(error)) < 1000
        return str(error)
    assert all(np.isfinite(array).all() for array in model.state_dict().values())
    return None


@given(st.data())
def test_bytes_that_are_changed_cut_off_or_added(
    whole: bytes, path: Path, data: st.DataObject
) -> None:
    content = bytearray(whole)
    for at in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=4)):
        content[at] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(whole)))
    sentence = refused(path, bytes(content[:end]) + data.draw(st.binary(max_size=9)))
    if sentence is None:
        assert len(path.read_bytes()) == len(whole)


def places(value: Any) -> list[tuple[Any, ...]]:
    """Return the ways from a JSON value to each that is within it."""
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [()] + [(key, *rest) for key, item in inner for rest in places(item)]


ODD = st.one_of(
    st.sampled_from(
        [
            None,
            True,
            -1,
            0,
            10**9,
            10**30,
            math.nan,
            math.inf,
            1e308,
            "",
            "\x1b[31m",
            "9" * 5000,
            [[[]]],
        ]
    ),
    st.sampled_from(
        [
            {"name": "patch_zca", "in_channels": 10**5},
            {"name": "gradient_map", "n_orientations": 10**5},
        ]
    ),
    st.recursive(
        st.none() | st.integers() | st.floats() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
    ),
)


@given(st.data())
def test_an_architecture_with_arbitrary_values(
    whole: bytes, path: Path, data: st.DataObject
) -> None:
    def change(header: dict[str, Any]) -> None:
        found = json.loads(header["__metadata__"]["architecture"])
        *way, last = data.draw(st.sampled_from(places(found)[1:]))
        inner = found
        for key in way:
            inner = inner[key]
        inner[last] = data.draw(ODD)
        header["__metadata__"]["architecture"] = json.dumps(found)

    refused(path, with_header(whole, change))


@given(
    field=st.sampled_from(["format", "format_version", "version", "architecture"]), text=st.text()
)
def test_metadata_with_any_text(whole: bytes, path: Path, field: str, text: str) -> None:
    def change(header: dict[str, Any]) -> None:
        header["__metadata__"][field] = text

    sentence = refused(path, with_header(whole, change))
    assert field == "version" or sentence is not None or text == "1"


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5000, '{"a":' * 10_000, "NaN", "\x00"])
@pytest.mark.parametrize("field", ["format_version", "architecture"])
def test_texts_that_break_parsers(whole: bytes, path: Path, field: str, text: str) -> None:
    def change(header: dict[str, Any]) -> None:
        header["__metadata__"][field] = text

    assert refused(path, with_header(whole, change)) is not None


@pytest.mark.parametrize(
    "claim",
    [
        {"n_classes": 10**9},
        {"n_classes": 10**7},
        {"image_size": [2000, 2000]},
        {"preprocessing": {"name": "patch_zca", "kernel_size": 3, "in_channels": 2000}},
        {"preprocessing": {"name": "gradient_map", "n_orientations": 20_000}},
    ],
    ids=str,
)
def test_an_architecture_that_claims_much_costs_nothing(
    whole: bytes, path: Path, claim: dict[str, Any]
) -> None:
    def change(header: dict[str, Any]) -> None:
        found = json.loads(header["__metadata__"]["architecture"])
        header["__metadata__"]["architecture"] = json.dumps(found | claim)

    content = with_header(whole, change)
    # Imports the modules that it needs.
    refused(path, content)
    tracemalloc.start()
    try:
        assert refused(path, content) is not None
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20 * 2**20


@pytest.mark.parametrize("kind", ["F16", "BF16", "I64", "F64", "BOOL"])
def test_tensors_of_another_dtype_are_named(whole: bytes, path: Path, kind: str) -> None:
    def change(header: dict[str, Any]) -> None:
        size = {"F16": 2, "BF16": 2, "I64": 8, "F64": 8, "BOOL": 1}[kind]
        header["classifier.weight"]["dtype"] = kind
        begin, end = header["classifier.weight"]["data_offsets"]
        header["classifier.weight"]["shape"] = [(end - begin) // size]

    assert "'classifier.weight' as" in str(refused(path, with_header(whole, change)))


@given(
    name=st.sampled_from(
        [
            "classifier.weight",
            "classifier.bias",
            "layers.0.weight",
            "layers.0.center",
            "preprocessing.weight",
        ]
    ),
    value=st.sampled_from([math.nan, math.inf, -math.inf]),
    data=st.data(),
)
def test_numbers_that_are_not_finite_are_refused_wherever_they_are(
    path: Path, name: str, value: float, data: st.DataObject
) -> None:
    model = CKN.from_config(MODEL.config())
    model.load_state_dict(MODEL.state_dict())
    state = model.state_dict()
    state[name].reshape(-1)[data.draw(st.integers(0, state[name].size - 1))] = value
    model.load_state_dict(state)
    save_model(model, path)
    with pytest.raises(DataError, match=rf"expected finite numbers in {name}, got NaN or infinity"):
        load_model(path)


@pytest.mark.parametrize("factor", [0, 0.999, 1.001, 100, -1, 1 + 1e-6])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_filters_of_another_norm_are_refused(path: Path, factor: float, dtype: str) -> None:
    model = CKN(1, 6, 3, [CKNLayer(1, 4, 3, rng=1, dtype=dtype)], rng=3)
    weight = model.layers[0].weight.data.copy()
    weight[2] *= np.asarray(factor, dtype)
    model.layers[0].weight.data = weight
    save_model(model, path)
    if factor == -1 or (factor == 1 + 1e-6 and dtype == "float32"):
        np.testing.assert_array_equal(load_model(path).layers[0].weight.data, weight)
    else:
        with pytest.raises(
            DataError,
            match=r"expected filters of norm 1 in layers\.0\.weight, got .* at index 2; set",
        ):
            load_model(path)
