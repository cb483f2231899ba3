"""The state of a training, and what resuming compares."""

import json

import numpy as np
import pytest

from tinygrad_ckn.errors import DataError
from tinygrad_ckn.models.learning.state import Identity, generator_state, set_generator


def identity(labels: list[int], weights: list[float] | None = None) -> Identity:
    numbers = np.arange(len(labels))
    return Identity(
        numbers, np.array(labels), None if weights is None else np.array(weights), {"l2": None}
    )


def test_the_digest_is_of_images_labels_and_weights_in_their_order() -> None:
    whole = identity([0, 1, 2])
    assert whole.digest == identity([0, 1, 2]).digest
    others = [identity([0, 2, 1]), identity([0, 1]), identity([0, 1, 2], [1, 1, 1])]
    assert len({whole.digest, *(other.digest for other in others)}) == 4


@pytest.mark.parametrize("name", ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"])
def test_a_generator_goes_on_from_its_state_in_json(name: str) -> None:
    first, second = (np.random.Generator(getattr(np.random, name)(seed)) for seed in (0, 1))
    first.random(3)
    # 32 bits, after which some generators keep the other half.
    first.integers(5, dtype=np.uint32)
    set_generator(second, json.loads(json.dumps(generator_state(first))), "here")
    assert first.integers(2**31, size=9, dtype=np.uint32).tolist() == (
        second.integers(2**31, size=9, dtype=np.uint32).tolist()
    )


@pytest.mark.parametrize("state", [{}, {"bit_generator": "MT19937"}, {"bit_generator": "PCG64"}])
def test_another_generator_is_refused(state: dict[str, object]) -> None:
    with pytest.raises(DataError, match="here: expected the state of a generator PCG64, got"):
        set_generator(np.random.default_rng(0), state, "here")
