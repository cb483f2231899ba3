import numpy as np
import pytest

from tinygrad_ckn.models.linear import preconditioner as preconditioning
from tinygrad_ckn.models.linear.moments import Moments
from tinygrad_ckn.models.linear.preconditioner import FullRoot, Preconditioner, SampledRoot

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(size=(3, 12))
SHIFT = 2e-3


def features(n: int, d: int) -> np.ndarray:
    """Return features, some directions of which hardly occur, not centred."""
    return RANDOM.normal(size=(n, d)) * np.logspace(0, -3, d) + 1


def standardised(x: np.ndarray) -> np.ndarray:
    centred = x - x.mean(axis=0)
    return centred / np.sqrt((centred**2).sum() / len(x))


@pytest.fixture(params=["whole", "sampled", "whole, weighted", "sampled, weighted"])
def root_and_square(request, monkeypatch):
    """Return R for 12 features, and what R^T R is to be."""
    x = features(30, 12)
    if "sampled" in request.param:
        monkeypatch.setattr(preconditioning, "_MAX_FULL", 11)
    counts = RANDOM.integers(1, 4, 30) if "weighted" in request.param else np.ones(30, int)
    weights = counts.astype("float64") if "weighted" in request.param else None
    root = Preconditioner(x, Moments.of(x, weights), weights).root(SHIFT / 2)
    assert isinstance(root, FullRoot if "whole" in request.param else SampledRoot)
    z = standardised(np.repeat(x, counts, axis=0))
    return root, z.T @ z / len(z) + SHIFT * np.eye(12)


def test_the_root_is_one(root_and_square) -> None:
    root, square = root_and_square
    r = root.times(np.eye(12)).T
    np.testing.assert_allclose(r.T @ r, square, atol=1e-13)


def test_solving_undoes_the_root(root_and_square) -> None:
    root, _ = root_and_square
    np.testing.assert_allclose(root.solve(root.times(ROWS)), ROWS, atol=1e-10)


def test_the_gradient_goes_back_by_the_transpose(root_and_square) -> None:
    root, _ = root_and_square
    np.testing.assert_allclose(
        root.solve_transposed(np.eye(12)), root.solve(np.eye(12)).T, atol=1e-10
    )


def test_a_sample_is_taken_from_all_over(monkeypatch) -> None:
    monkeypatch.setattr(preconditioning, "_MAX_FULL", 11)
    monkeypatch.setattr(preconditioning, "_SAMPLE", 5)
    x = features(30, 12)
    root = Preconditioner(x, Moments.of(x)).root(1e-3)
    np.testing.assert_allclose(
        root.sample, standardised(x)[[0, 6, 12, 18, 24]] / np.sqrt(5), atol=1e-14
    )


def test_one_root_serves_a_decade(monkeypatch) -> None:
    factored: list[float] = []
    monkeypatch.setattr(
        preconditioning,
        "FullRoot",
        lambda gram, shift: factored.append(shift) or FullRoot(gram, shift),
    )
    x = features(30, 3)
    preconditioner = Preconditioner(x, Moments.of(x))
    first = preconditioner.root(1e-6)
    assert (
        preconditioner.root(1e-7)
        is preconditioner.root(3.2e-6)
        is preconditioner.root(1e-5)
        is first
    )
    preconditioner.root(1e-8)
    np.testing.assert_allclose(factored, [2e-6, 2e-8])


def test_the_shift_grows_where_rounding_left_the_matrix_indefinite() -> None:
    gram = -1e-7 * np.eye(3)
    r = FullRoot(gram, 1e-9).times(np.eye(3)).T
    np.testing.assert_allclose(r.T @ r, gram + 1e-6 * np.eye(3), rtol=1e-9)
