import json

import numpy as np
import pytest

from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.models import CKN, CNN, PRESETS, build, from_config

OPTIONS = {"in_channels": 1, "image_size": 8, "n_classes": 3}
QUICK = sorted(
    PRESETS.keys() - {"unsup-256-4096", "unsup-512-8192"}
)  # the matrices of these take seconds


@pytest.mark.parametrize("name", QUICK)
def test_the_class_is_that_of_the_preset(name: str) -> None:
    model = build(name, **OPTIONS, preprocessing="standardize", mirror_average="features", rng=1)
    assert type(model) is {"CKN": CKN, "CNN": CNN}[PRESETS[name].model]
    assert (model.in_channels, model.image_size, model.n_classes, model.mirror_average) == (
        1,
        (8, 8),
        3,
        "features",
    )
    assert model.preprocessing is not None
    same = type(model).preset(name, **OPTIONS, rng=1)
    np.testing.assert_array_equal(model.layers[-1].weight.numpy(), same.layers[-1].weight.numpy())


@pytest.mark.parametrize("name", PRESETS)
def test_a_config_builds_the_same_architecture_again(name: str) -> None:
    model = build(name, **OPTIONS)
    again = from_config(json.loads(json.dumps(model.config())))
    assert type(again) is type(model)
    assert again.config() == model.config()
    shapes = [{name: p.shape for name, p in m.named_parameters()} for m in (model, again)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("config", [None, [], {}, {"model": "RNN"}])
def test_configs_of_no_class_are_refused(config: object) -> None:
    got = config.get("model") if isinstance(config, dict) else None
    with pytest.raises(
        ConfigError,
        match=f"^from_config: expected model as one of CKN, CNN, got {got!r}; was it written",
    ):
        from_config(config)


def test_a_config_of_a_class_with_something_missing_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"CNN.from_config: expected what config\(\) returns"):
        from_config({"model": "CNN"})
