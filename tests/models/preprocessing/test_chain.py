import json

import numpy as np
import pytest

from tinygrad_ckn import Tensor
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.models.preprocessing.chain import (
    PREPROCESSORS,
    Chain,
    GradientMap,
    LocalWhitening,
    PatchZCA,
    Standardize,
    make_preprocessor,
)

rng = np.random.default_rng(0)
OPTIONS = {"chain": {"steps": ["standardize", "patch_zca"]}}


@pytest.mark.parametrize("name", PREPROCESSORS)
def test_each_is_made_by_name_options_and_its_own_configuration(name: str) -> None:
    x = rng.random((3, 2, 9, 8), dtype="float32")
    layer = make_preprocessor({"name": name, **OPTIONS.get(name, {})}).fit(x)
    assert type(layer) is PREPROCESSORS[name]
    config = json.loads(json.dumps(layer.config()))
    twin = make_preprocessor(config)
    assert twin.config() == config
    twin.load_state_dict(layer.state_dict())
    y = layer(x)
    np.testing.assert_array_equal(twin(x), y)
    assert (y.shape[1:], y.dtype) == (layer.output_shape(x.shape[1:]), x.dtype)
    assert repr(layer).startswith(type(layer).__name__)


def test_a_preprocessor_is_itself_and_none_is_none() -> None:
    layer = Standardize()
    assert make_preprocessor(layer) is layer
    assert make_preprocessor(None) is None
    assert isinstance(make_preprocessor("local_whitening"), LocalWhitening)


def test_a_chain_is_fitted_and_applied_first_to_last() -> None:
    train, test = rng.normal(3, 2, size=(6, 2, 8, 7)), rng.normal(3, 2, size=(2, 2, 8, 7))
    chain = make_preprocessor(
        ["standardize", {"name": "patch_zca", "kernel_size": 2}, GradientMap(4)]
    ).fit(train)
    first = Standardize().fit(train)
    second = PatchZCA(2).fit(first(train))
    np.testing.assert_array_equal(chain(test), GradientMap(4)(second(first(test))))
    assert list(chain.state_dict())[:4] == [
        "steps.0.mean",
        "steps.0.std",
        "steps.1.mean",
        "steps.1.whitening",
    ]
    assert chain.output_shape((2, 8, 7)) == (4, 8, 7)
    x = Tensor(test, requires_grad=True)
    chain(x).sum().backward()
    assert x.grad.shape == test.shape


def test_an_empty_chain_changes_nothing() -> None:
    x = rng.random((2, 1, 3, 3))
    assert Chain([]).fit(x)(x) is x


@pytest.mark.parametrize(
    "spec",
    [
        "whitening",
        {"name": "standardize", "eps": 1},
        {"name": "chain"},
        {"eps": 1},
        3,
        ["standardize", None],
    ],
)
def test_what_is_unknown_is_refused(spec) -> None:
    with pytest.raises(
        ConfigError, match="expected a Preprocessor, a sequence, or one of the names gradient_map"
    ):
        make_preprocessor(spec)
