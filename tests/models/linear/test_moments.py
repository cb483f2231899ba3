import numpy as np
import pytest

from tinygrad_ckn import block_sums
from tinygrad_ckn.models.linear.moments import Moments

FEATURES = np.random.default_rng(0).normal(size=(100, 6)) + 5


def of(features: np.ndarray) -> tuple[int, np.ndarray, float]:
    """Return the moments by NumPy alone."""
    return len(features), features.mean(axis=0), float(features.var(axis=0).sum() * len(features))


def same(found: Moments, expected: tuple[int, np.ndarray, float]) -> None:
    assert found.n == expected[0]
    np.testing.assert_allclose(found.mean, expected[1], rtol=1e-13)
    np.testing.assert_allclose(found.spread, expected[2], rtol=1e-11)


def test_moments_are_those_of_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_sums, "_BLOCK", 17)
    same(Moments.of(FEATURES), of(FEATURES))


def test_moments_without_some_examples_are_those_of_the_others() -> None:
    aside = np.arange(0, 100, 3)
    same(Moments.of(FEATURES).without(FEATURES, aside), of(np.delete(FEATURES, aside, axis=0)))


def test_moments_count_an_example_by_its_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_sums, "_BLOCK", 17)
    weights = np.random.default_rng(1).integers(0, 4, 100).astype("float64")
    weighted = Moments.of(FEATURES, weights)
    same(weighted, of(np.repeat(FEATURES, weights.astype(int), axis=0)))
    aside = np.arange(0, 100, 3)
    kept = np.setdiff1d(np.arange(100), aside)
    same(
        weighted.without(FEATURES, aside, weights),
        of(np.repeat(FEATURES[kept], weights[kept].astype(int), axis=0)),
    )


def test_what_is_left_of_examples_that_are_alike_is_no_spread() -> None:
    features = np.full((12, 3), 0.1)
    features[4] = [5.0, 1.3, 7.0]
    assert Moments.of(features).without(features, np.array([4])).spread == 0
