import math
from collections import defaultdict

import numpy as np
import pytest
from scipy.stats import chisquare

from tinygrad_ckn.errors import ConfigError, DataError
from tinygrad_ckn.models.clustering import seeding
from tinygrad_ckn.models.clustering.spherical_kmeans import spherical_kmeans

starts = pytest.mark.parametrize("start", ["k-means++", "random"])


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_plus_plus_starts_at_far_points_more_often_than_the_random_start_does() -> None:
    x = np.eye(3)[:2].repeat([500, 5], axis=0) + np.random.default_rng(2).normal(0, 0.01, (505, 3))

    def found_both(start: str) -> int:
        runs = (spherical_kmeans(x, 2, iterations=1, init=start, rng=seed) for seed in range(40))
        return sum(run.objective[0] > 0.999 for run in runs)

    assert found_both("k-means++") > 2 * found_both("random")


def test_fewer_distinct_directions_than_clusters_are_refused() -> None:
    x = np.array([[1.0, 2.0], [2.0, 4.0], [0.0, 1.0], [0.5, 1.0], [0.0, 3.0]])
    assert spherical_kmeans(x, 2).objective[-1] == pytest.approx(1)
    with pytest.raises(
        DataError,
        match="expected at least 3 distinct nonzero points for 3 clusters, got 2; use more",
    ):
        spherical_kmeans(x, 3)


@starts
def test_repeated_points_are_refused_where_they_leave_too_few_directions(start: str) -> None:
    x = np.array([[3.0, 4.0], [3.0, 4.0], [0.0, 1.0], [0.0, 1.0]])
    with pytest.raises(
        DataError, match="expected at least 3 distinct nonzero points for 3 clusters, got 2"
    ):
        spherical_kmeans(x, 3, init=start)


def test_fewer_points_than_clusters_are_refused() -> None:
    with pytest.raises(
        DataError, match="expected at least 4 distinct nonzero points for 4 clusters, got 3"
    ):
        spherical_kmeans(np.eye(5)[:3], 4)


def test_nothing_but_zeros_is_refused() -> None:
    with pytest.raises(
        DataError, match="expected at least 1 distinct nonzero points for 1 clusters, got 0"
    ):
        spherical_kmeans(np.zeros((3, 2)), 1)


@pytest.mark.parametrize("options", [{}, {"batch_size": 2}])
def test_given_centroids_are_refused_where_there_are_too_few_directions_for_them(options) -> None:
    x = np.array([[3.0, 4.0], [0.3, 0.4], [0.0, 1.0], [0.0, 2.0]])
    with pytest.raises(
        DataError, match="expected at least 3 distinct nonzero points for 3 clusters, got 2"
    ):
        spherical_kmeans(x, 3, init=np.array([[3.0, 4.0], [0.0, 1.0], [-1.0, 0.0]]), **options)


@pytest.mark.parametrize("given", [np.asarray, np.ndarray.tolist])
def test_given_centroids_are_where_it_starts_whatever_their_lengths(given) -> None:
    x = np.random.default_rng(1).normal(size=(200, 5))
    start = np.random.default_rng(2).normal(size=(7, 5))
    before = start.copy()
    found = spherical_kmeans(x, 7, iterations=1, init=given(start))
    cosines = unit(x) @ unit(start).T
    assert found.objective[0] == pytest.approx(cosines.max(axis=1).mean(), rel=1e-13)
    expected = np.array([unit(x)[cosines.argmax(axis=1) == i].sum(axis=0) for i in range(7)])
    np.testing.assert_allclose(found.centroids, unit(expected), atol=1e-13)
    np.testing.assert_array_equal(start, before)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (np.ones((3, 5)), r"expected centroids of shape \(2, 5\), got \(3, 5\)"),
        (
            np.array([[0.0] * 5, [1.0] * 5]),
            "expected finite nonzero centroids, got others; use nonzero points",
        ),
        (np.array([[math.nan] * 5, [1.0] * 5]), "expected finite nonzero centroids"),
    ],
)
def test_centroids_that_do_not_fit_are_refused(start: np.ndarray, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^spherical_kmeans: argument init {message}"):
        spherical_kmeans(np.eye(5), 2, init=start)


@pytest.mark.untraced
@starts
def test_seeds_drawn_many_at_a_time_have_the_distribution_of_one_after_the_other(
    start: str,
) -> None:
    x = unit(np.random.default_rng(1).normal(size=(9, 2)))
    # of sets of seeds
    probabilities = {frozenset([i]): 1 / 9 for i in range(9)}
    for _ in range(6):
        larger: dict[frozenset[int], float] = defaultdict(float)
        for seeds, probability in probabilities.items():
            distances = np.maximum(1 - x @ x[list(seeds)].T, 0).min(axis=1)
            weights = (
                distances * (distances > 1e-6) if start == "k-means++" else 1.0 * (distances > 1e-6)
            )
            for i in np.flatnonzero(weights).tolist():
                larger[seeds | {i}] += probability * weights[i] / weights.sum()
        probabilities = larger
    counts = dict.fromkeys(probabilities, 0)
    rng = np.random.default_rng(0)
    for _ in range(6000):
        counts[
            frozenset(
                (seeding.initial_centroids(x, np.ones(9), 7, start, rng) @ x.T)
                .argmax(axis=1)
                .tolist()
            )
        ] += 1
    rare = [
        s for s, p in probabilities.items() if 6000 * p < 10
    ]  # counted together, as the test wants
    expected = [p for s, p in probabilities.items() if s not in rare] + [
        sum(probabilities[s] for s in rare) + 1e-9
    ]
    found = [c for s, c in counts.items() if s not in rare] + [
        sum(counts[s] for s in rare) + 6000e-9
    ]
    assert (
        chisquare(found, 6000 * np.array(expected) / sum(expected) * (sum(found) / 6000)).pvalue
        > 0.01
    )


@starts
def test_rounding_does_not_make_one_direction_two(start: str) -> None:
    points = np.array([[1.0, 2], [2, 4], [0, 1], [0.5, 1], [0, 3]])
    with pytest.raises(DataError, match="at least 3 distinct nonzero points for 3 clusters, got 2"):
        spherical_kmeans(points, 3, init=start)


@starts
def test_a_rare_direction_is_found_among_all_points_that_are_not_zero(start: str) -> None:
    points = np.tile([1.0, 0.0], (10_000, 1))
    points[5000:] = 0
    points[17] = [0.0, 1.0]
    found = spherical_kmeans(points, 2, init=start, rng=0).centroids
    seeds = seeding.initial_centroids(
        points, points.sum(axis=1), 2, start, np.random.default_rng(0)
    )
    assert sorted(seeds.tolist()) == sorted(found.tolist()) == [[0.0, 1.0], [1.0, 0.0]]
