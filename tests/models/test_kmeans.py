import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from tinygrad_ckn import parallel
from tinygrad_ckn.cpu import kmeans as cpu
from tinygrad_ckn.errors import ConfigError, DataError
from tinygrad_ckn.models import kmeans
from tinygrad_ckn.models.kmeans import spherical_kmeans
from tinygrad_ckn.testing.strategies import arrays, patches_with_zero_norm

few = settings(max_examples=20, deadline=None)
starts = pytest.mark.parametrize("start", ["k-means++", "random"])


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """A function that sets the number of threads, until the test ends."""
    before = parallel.get_num_threads()
    yield parallel.set_num_threads
    parallel.set_num_threads(before)


def unit(x: np.ndarray) -> np.ndarray:
    x = x[(x != 0).any(axis=1)]
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def around(directions: np.ndarray, count: int, spread: float, seed: int) -> np.ndarray:
    """Return points of any length around each direction."""
    rng = np.random.default_rng(seed)
    points = directions.repeat(count, axis=0) + spread * rng.normal(size=(count * len(directions), directions.shape[1]))
    return rng.permutation(points * rng.uniform(0.1, 10, (len(points), 1)))


@starts
@given(x=arrays(st.integers(10, 40), 3), k=st.integers(1, 8), seed=st.integers(0, 1000))
@few
def test_objective_never_decreases(start: str, x: np.ndarray, k: int, seed: int) -> None:
    found = spherical_kmeans(x, k, iterations=30, start=start, rng=seed)
    assert all(after >= before - 1e-14 for before, after in itertools.pairwise(found.objective))
    assert 1 <= len(found.objective) <= 30


@starts
@given(x=arrays(30, 4), k=st.integers(1, 30), iterations=st.integers(1, 5))
@few
def test_centroids_have_norm_1(start: str, x: np.ndarray, k: int, iterations: int) -> None:
    found = spherical_kmeans(x, k, iterations=iterations, start=start)
    assert found.centroids.shape == (k, 4)
    np.testing.assert_allclose([math.hypot(*c) for c in found.centroids], 1, rtol=1e-14)


@given(x=patches_with_zero_norm(40, 3), k=st.integers(1, 6), seed=st.integers(0, 1000))
@few
def test_centroids_are_the_mean_directions_of_the_points_nearest_to_them(x: np.ndarray, k: int, seed: int) -> None:
    found = spherical_kmeans(x, k, iterations=100, rng=seed)
    assert len(found.objective) < 100
    clusters: list[list[np.ndarray]] = [[] for _ in range(k)]
    best = []
    for point in unit(x):
        cosines = [float(point @ c) for c in found.centroids]
        clusters[int(np.argmax(cosines))].append(point)
        best.append(max(cosines))
    for centroid, members in zip(found.centroids, clusters, strict=True):
        total = np.sum(members, axis=0)
        np.testing.assert_allclose(centroid, total / math.hypot(*total), atol=1e-12)
    np.testing.assert_allclose(found.objective[-1], np.mean(best), rtol=1e-13)


@starts
def test_as_many_clusters_as_directions_finds_them_all(start: str) -> None:
    x = np.random.default_rng(0).normal(size=(12, 5))
    found = spherical_kmeans(x, 12, start=start)
    assert sorted(map(tuple, found.centroids.round(12))) == sorted(map(tuple, unit(x).round(12)))
    assert found.objective[-1] == pytest.approx(1, abs=1e-14)


@starts
def test_well_separated_directions_are_recovered(start: str) -> None:
    directions = np.concatenate([np.eye(4), -np.eye(4)])
    best = max(
        (spherical_kmeans(around(directions, 40, 0.02, 1), 8, start=start, rng=seed) for seed in range(5)),
        key=lambda found: found.objective[-1],
    )
    cosines = best.centroids @ directions.T
    assert sorted(cosines.argmax(axis=1)) == list(range(8))
    assert (cosines.max(axis=1) > 0.999).all()


def test_plus_plus_starts_at_far_points_more_often_than_the_random_start_does() -> None:
    x = np.concatenate([around(np.eye(3)[:1], 500, 0.01, 2), around(np.eye(3)[1:2], 5, 0.01, 3)])

    def found_both(start: str) -> int:
        runs = (spherical_kmeans(x, 2, iterations=1, start=start, rng=seed) for seed in range(40))
        return sum(run.objective[0] > 0.999 for run in runs)

    assert found_both("k-means++") > 2 * found_both("random")


def test_fewer_distinct_directions_than_clusters_are_refused() -> None:
    x = np.array([[1.0, 2.0], [2.0, 4.0], [0.0, 1.0], [0.5, 1.0], [0.0, 3.0]])
    assert spherical_kmeans(x, 2).objective[-1] == pytest.approx(1)
    with pytest.raises(DataError, match="expected at least 3 distinct nonzero points for 3 clusters, got 2; use more"):
        spherical_kmeans(x, 3)


@starts
def test_repeated_points_are_refused_where_they_leave_too_few_directions(start: str) -> None:
    x = np.array([[3.0, 4.0], [3.0, 4.0], [0.0, 1.0], [0.0, 1.0]])
    with pytest.raises(DataError, match="expected at least 3 distinct nonzero points for 3 clusters, got 2"):
        spherical_kmeans(x, 3, start=start)


def test_fewer_points_than_clusters_are_refused() -> None:
    with pytest.raises(DataError, match="expected at least 4 distinct nonzero points for 4 clusters, got 3"):
        spherical_kmeans(np.eye(5)[:3], 4)


def test_nothing_but_zeros_is_refused() -> None:
    with pytest.raises(DataError, match="expected at least 1 distinct nonzero points for 1 clusters, got 0"):
        spherical_kmeans(np.zeros((3, 2)), 1)


@given(x=arrays(20, 3), zeros=st.lists(st.integers(0, 20), min_size=1, max_size=5))
@few
def test_zero_rows_are_left_out(x: np.ndarray, zeros: list[int]) -> None:
    without, with_zeros = spherical_kmeans(x, 4, rng=5), spherical_kmeans(np.insert(x, zeros, 0.0, axis=0), 4, rng=5)
    np.testing.assert_array_equal(with_zeros.centroids, without.centroids)
    assert with_zeros.objective == without.objective


@given(x=arrays(20, 3), scale=st.floats(1e-3, 1e3))
@few
def test_only_directions_count(x: np.ndarray, scale: float) -> None:
    x = unit(x)
    lengths = scale * np.random.default_rng(0).uniform(0.5, 2, (20, 1))
    np.testing.assert_allclose(spherical_kmeans(lengths * x, 3).centroids, spherical_kmeans(x, 3).centroids, atol=1e-12)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused(value: float) -> None:
    x = np.eye(3)
    x[1, 2] = value
    with pytest.raises(DataError, match="argument x expected finite numbers, got NaN or infinity"):
        spherical_kmeans(x, 2)


def test_an_empty_cluster_restarts_at_the_worst_fitting_point(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.array([[1.0, 0.0, 0.0], [10.0, 1.0, 0.0], [10.0, 0.0, 1.0], [1.0, 0.0, 0.4], [0.0, 0.0, 0.0]])
    seeds = np.array([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]])
    monkeypatch.setattr(kmeans, "_seed", lambda *args: seeds.copy())
    once = spherical_kmeans(x, 2, iterations=1)
    np.testing.assert_allclose(once.centroids[1], unit(x)[3], atol=1e-15)
    found = spherical_kmeans(x, 2)
    total = unit(x)[:3].sum(axis=0)
    np.testing.assert_allclose(found.centroids, [total / np.linalg.norm(total), unit(x)[3]], atol=1e-15)


def test_several_empty_clusters_restart_at_different_points(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.array([[1.0, 0.0, 0.0], [1.0, 0.3, 0.0], [1.0, 0.0, 0.4], [1.0, 0.01, 0.0]])
    seeds = np.array([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [-1.0, 0.1, 0.0]])
    monkeypatch.setattr(kmeans, "_seed", lambda *args: seeds.copy())
    found = spherical_kmeans(x, 3)
    assert sorted((unit(x) @ found.centroids.T).argmax(axis=1)) == [0, 0, 1, 2]


def test_a_cluster_whose_points_cancel_restarts(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.array([[0.0, 1.0], [0.0, -1.0]])
    monkeypatch.setattr(kmeans, "_seed", lambda *args: np.array([[1.0, 0.0]]))
    np.testing.assert_allclose(abs(spherical_kmeans(x, 1).centroids), [[0.0, 1.0]])


@starts
def test_the_seed_fixes_every_bit(start: str) -> None:
    x = np.random.default_rng(1).normal(size=(300, 6)).astype("float32")
    one, same, other = (spherical_kmeans(x, 10, iterations=3, start=start, rng=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.centroids, same.centroids)
    assert one.objective == same.objective
    assert not np.allclose(one.centroids, other.centroids)


def test_a_generator_goes_on_where_it_stands() -> None:
    x = np.random.default_rng(1).normal(size=(300, 6))
    rng = np.random.default_rng(3)
    first, second = (spherical_kmeans(x, 10, iterations=1, rng=rng).centroids for _ in range(2))
    np.testing.assert_array_equal(first, spherical_kmeans(x, 10, iterations=1, rng=3).centroids)
    assert not np.allclose(first, second)


@pytest.mark.parametrize("tiled", [True, False])
@pytest.mark.parametrize("d", [6, 130])
def test_blocks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch, d: int, tiled: bool) -> None:
    x = np.random.default_rng(1).normal(size=(301, d))
    x[[0, 17, 200]] = 0
    whole = spherical_kmeans(x, 7)
    monkeypatch.setattr(kmeans, "_tiled", lambda x: tiled)
    monkeypatch.setattr(kmeans, "_BLOCK", 7 * 10)
    monkeypatch.setattr(cpu, "_TILE_BYTES", 7 * 10 * 8)
    monkeypatch.setattr(cpu, "_IN_CACHE", 7 * 4 * 8)
    monkeypatch.setattr(cpu, "_LEAST", 1)
    in_blocks = spherical_kmeans(x, 7)
    np.testing.assert_allclose(in_blocks.centroids, whole.centroids, atol=1e-12)
    np.testing.assert_allclose(in_blocks.objective, whole.objective, rtol=1e-13)


@pytest.mark.parametrize("k", [5, 300])
@pytest.mark.parametrize("d", [4, 90, 130, 1300])  # pieces of most points, of few; rows in pieces, and whole
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nearest_centroids_and_sums_are_those_of_loops(k: int, d: int, dtype: str) -> None:
    rng = np.random.default_rng(2)
    x, centroids = rng.normal(0, 2 / math.sqrt(d), (4500, d)).astype(dtype), unit(rng.normal(size=(k, d))).astype(dtype)
    scales = rng.uniform(0, 2, len(x)).astype(dtype)
    nearest, cosines, sums = cpu.assign(x, scales, centroids, True)
    products = x.astype("float64") @ centroids.T.astype("float64")
    np.testing.assert_array_equal(nearest, products.argmax(axis=1))
    np.testing.assert_allclose(cosines, products.max(axis=1) * scales, atol=2e-6 if dtype == "float32" else 4e-15)
    expected = np.zeros((k, d))
    for point, scale, cluster in zip(x, scales, nearest, strict=True):
        expected[cluster] += scale * point.astype("float64")
    np.testing.assert_allclose(sums, expected, atol=1e-3 if dtype == "float32" else 1e-11)


@pytest.mark.parametrize("n", [1, 7, 300])
@pytest.mark.parametrize("k", [1, 200, 10_100])  # pieces of 256 points, of 50, and the whole
def test_products_in_pieces_are_those_of_the_whole(k: int, n: int) -> None:
    rng = np.random.default_rng(3)
    centroids, points = rng.integers(-4, 5, (k, 100)).astype(float), rng.integers(-4, 5, (n, 100)).astype(float)
    found = cpu._products(np.asfortranarray(centroids), points, np.full((k, n), np.nan))
    np.testing.assert_array_equal(found, np.einsum("kd,nd->kn", centroids, points))  # of integers: without rounding


@pytest.mark.parametrize("k", [3, 260])
@pytest.mark.parametrize("d", [2, 130])
def test_of_equally_near_centroids_the_first_is_taken(k: int, d: int) -> None:
    centroids = np.tile(np.eye(d)[0], (k, 1))
    centroids[0] = np.eye(d)[1]
    points = np.array([[2.0], [3.0]]) * np.eye(d)[:2]
    nearest, cosines, sums = cpu.assign(points, np.array([0.5, 1 / 3]), centroids, True)
    assert nearest.tolist() == [1, 0]
    assert cosines.tolist() == [1, 1]
    np.testing.assert_array_equal(sums[:2], np.eye(d)[[1, 0]])


@pytest.mark.parametrize("d", [6, 130])
def test_the_number_of_threads_changes_no_bit(threads: Callable[[int], None], d: int) -> None:
    x = np.random.default_rng(1).normal(size=(30_000, d)).astype("float32")
    found = []
    for n in (1, 2, 5):
        threads(n)
        found.append(spherical_kmeans(x, 40, iterations=3))
    for other in found[1:]:
        np.testing.assert_array_equal(other.centroids, found[0].centroids)
        assert other.objective == found[0].objective


def test_points_in_a_file_give_the_same_bits(tmp_path: Path) -> None:
    x = np.random.default_rng(1).normal(size=(300, 6)).astype("float32")
    np.save(tmp_path / "x.npy", x)
    found = spherical_kmeans(np.load(tmp_path / "x.npy", mmap_mode="r"), 10)
    np.testing.assert_array_equal(found.centroids, spherical_kmeans(x, 10).centroids)


@pytest.mark.parametrize("given", [np.asarray, np.ndarray.tolist])
def test_given_centroids_are_where_it_starts_whatever_their_lengths(given) -> None:
    x = np.random.default_rng(1).normal(size=(200, 5))
    start = np.random.default_rng(2).normal(size=(7, 5))
    before = start.copy()
    found = spherical_kmeans(x, 7, iterations=1, start=given(start))
    cosines = unit(x) @ unit(start).T
    assert found.objective[0] == pytest.approx(cosines.max(axis=1).mean(), rel=1e-13)
    expected = np.array([unit(x)[cosines.argmax(axis=1) == i].sum(axis=0) for i in range(7)])
    np.testing.assert_allclose(found.centroids, unit(expected), atol=1e-13)
    np.testing.assert_array_equal(start, before)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (np.ones((3, 5)), r"expected centroids of shape \(2, 5\), got \(3, 5\)"),
        (np.array([[0.0] * 5, [1.0] * 5]), "expected centroids that are finite and not zero, got others; take points"),
        (np.array([[math.nan] * 5, [1.0] * 5]), "expected centroids that are finite and not zero"),
    ],
)
def test_centroids_that_do_not_fit_are_refused(start: np.ndarray, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^spherical_kmeans: argument start {message}"):
        spherical_kmeans(np.eye(5), 2, start=start)


@starts
def test_seeds_drawn_many_at_a_time_have_the_distribution_of_one_after_the_other(start: str) -> None:
    x = unit(np.random.default_rng(1).normal(size=(9, 2)))
    probabilities = {frozenset([i]): 1 / 9 for i in range(9)}  # of sets of seeds
    for _ in range(6):
        larger: dict[frozenset[int], float] = defaultdict(float)
        for seeds, probability in probabilities.items():
            distances = np.maximum(1 - x @ x[list(seeds)].T, 0).min(axis=1)
            weights = distances * (distances > 1e-6) if start == "k-means++" else 1.0 * (distances > 1e-6)
            for i in np.flatnonzero(weights).tolist():
                larger[seeds | {i}] += probability * weights[i] / weights.sum()
        probabilities = larger
    counts = dict.fromkeys(probabilities, 0)
    rng = np.random.default_rng(0)
    for _ in range(6000):
        counts[frozenset((kmeans._seed(x, np.ones(9), 7, start, rng) @ x.T).argmax(axis=1).tolist())] += 1
    rare = [s for s, p in probabilities.items() if 6000 * p < 10]  # counted together, as the test wants
    expected = [p for s, p in probabilities.items() if s not in rare] + [sum(probabilities[s] for s in rare) + 1e-9]
    found = [c for s, c in counts.items() if s not in rare] + [sum(counts[s] for s in rare) + 6000e-9]
    assert chisquare(found, 6000 * np.array(expected) / sum(expected) * (sum(found) / 6000)).pvalue > 0.01


def test_data_are_not_changed_and_the_dtype_is_kept() -> None:
    x = np.random.default_rng(1).normal(size=(30, 4)).astype("float32")
    before = x.copy()
    assert spherical_kmeans(x, 3).centroids.dtype == "float32"
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_clusters": 0}, "expected n_clusters and iterations as whole numbers >= 1, got 0 and 10"),
        ({"n_clusters": 2.0}, r"expected n_clusters and iterations as whole numbers >= 1, got 2\.0 and 10"),
        ({"iterations": 0}, "expected n_clusters and iterations as whole numbers >= 1, got 2 and 0"),
        ({"start": "best"}, "argument start expected 'k-means\\+\\+', 'random' or an array of centroids, got 'best'"),
    ],
)
def test_options_out_of_range_are_refused(options, message: str) -> None:
    n_clusters = options.pop("n_clusters", 2)
    with pytest.raises(ConfigError, match=f"^spherical_kmeans: {message}"):
        spherical_kmeans(np.eye(3), n_clusters, **options)


@pytest.mark.parametrize("start", ["k-means++", "random"])
def test_rounding_does_not_make_one_direction_two(start: str) -> None:
    points = np.array([[1.0, 2], [2, 4], [0, 1], [0.5, 1], [0, 3]])
    with pytest.raises(DataError, match="at least 3 distinct nonzero points for 3 clusters, got 2"):
        spherical_kmeans(points, 3, start=start)


@pytest.mark.parametrize("start", ["k-means++", "random"])
def test_a_rare_direction_is_found_among_all_points_that_are_not_zero(start: str) -> None:
    points = np.tile([1.0, 0.0], (10_000, 1))
    points[5000:] = 0
    points[17] = [0.0, 1.0]
    found = spherical_kmeans(points, 2, start=start, rng=0).centroids
    seeds = kmeans._seed(points, points.sum(axis=1), 2, start, np.random.default_rng(0))
    assert sorted(seeds.tolist()) == sorted(found.tolist()) == [[0.0, 1.0], [1.0, 0.0]]


def test_the_objective_is_that_at_the_start_of_each_iteration() -> None:
    points = np.random.default_rng(0).normal(size=(200, 3))
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    short, longer = (spherical_kmeans(points, 4, iterations=n, rng=0) for n in (1, 2))
    assert len(short.objective) == 1
    assert np.isclose(longer.objective[1], (unit @ short.centroids.T).max(axis=1).mean())
