"""Nystrom factors are cached until a parameter changes, and never used afterwards."""

import copy

import numpy as np
import pytest

from tinygrad_ckn import Tensor, enable_grad, grad, no_grad, ops
from tinygrad_ckn.models import CKNLayer
from tinygrad_ckn.models.layers import factors


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    counted: list[int] = []

    class Counting:
        def __getattr__(self, name: str):
            if name == "inverse_sqrt":
                counted.append(1)
            return getattr(ops, name)

    monkeypatch.setattr(factors, "ops", Counting())
    return counted


def test_factors_are_computed_once_in_eval_without_recording(calls: list[int]) -> None:
    layer = CKNLayer(1, 3, 3).eval()
    x = np.ones((1, 1, 4, 4), "float32")
    with no_grad():
        first, second, third = (layer(Tensor(x)).numpy() for _ in range(3))
    assert len(calls) == 1
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, third)


def test_factors_are_computed_anew_after_the_filters_were_assigned(calls: list[int]) -> None:
    x = Tensor(np.random.default_rng(0).normal(size=(1, 1, 4, 4)))
    layer, other = (CKNLayer(1, 3, 3, rng=seed, dtype="float64") for seed in (0, 1))
    with no_grad():
        before = layer.eval()(x).numpy()
        layer.weight.data = other.weight.data
        after, again = layer(x).numpy(), layer(x).numpy()
    assert len(calls) == 2
    assert not np.allclose(before, after)
    np.testing.assert_array_equal(after, again)
    np.testing.assert_array_equal(after, other.train()(x).numpy())


def test_factors_are_computed_each_time_where_gradients_may_be_asked_for(calls: list[int]) -> None:
    layer = CKNLayer(1, 3, 3)
    x = Tensor(np.ones((1, 1, 4, 4), "float32"))
    layer(x)
    layer.eval()(x)
    with no_grad():
        layer.train()(x)
        layer(x)
    assert len(calls) == 4


def test_cached_factors_are_not_used_where_a_gradient_is_asked_for() -> None:
    layer = CKNLayer(1, 3, 3, dtype="float64").eval()
    x = Tensor(np.random.default_rng(0).normal(size=(1, 1, 4, 4)))
    with no_grad():
        layer(x)
        with enable_grad():
            (found,) = grad(layer(x).sum(), layer.weight)
    (expected,) = grad(layer.train()(x).sum(), layer.weight)
    np.testing.assert_array_equal(found.numpy(), expected.numpy())


def test_frozen_filters_in_eval_let_gradients_through_to_the_images(calls: list[int]) -> None:
    layer = CKNLayer(1, 3, 3, dtype="float64").eval()
    x = Tensor(np.random.default_rng(0).normal(size=(1, 1, 4, 4)), requires_grad=True)
    (expected,) = grad(layer(x).sum(), x)
    layer.weight.requires_grad = False
    calls.clear()
    for _ in range(2):
        np.testing.assert_array_equal(grad(layer(x).sum(), x)[0].numpy(), expected.numpy())
    assert len(calls) == 1


@pytest.mark.parametrize("change", ["deepcopy, then assign data", "replace the parameter"])
def test_the_cached_factors_do_not_outlive_their_filters(change: str) -> None:
    layer = CKNLayer(1, 3, 2, dtype="float64", rng=1).eval()
    layer.weight.data = -layer.weight.data
    fresh = CKNLayer(1, 3, 2, dtype="float64", rng=5).eval()
    x = Tensor(np.random.default_rng(0).normal(size=(1, 1, 4, 4)))
    with no_grad():
        layer(x)
        if change == "replace the parameter":
            layer.weight = fresh.weight
            fresh.weight.data = fresh.weight.data.copy()
        else:
            layer = copy.deepcopy(layer)
            layer.weight.data = fresh.weight.data.copy()
        assert np.array_equal(layer(x).numpy(), fresh(x).numpy())
