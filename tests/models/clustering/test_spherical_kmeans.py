import itertools
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tinygrad_ckn import parallel
from tinygrad_ckn.cpu import kmeans as cpu
from tinygrad_ckn.errors import ConfigError, DataError
from tinygrad_ckn.models.clustering import assignment as directions
from tinygrad_ckn.models.clustering.spherical_kmeans import spherical_kmeans
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
    points = directions.repeat(count, axis=0) + spread * rng.normal(
        size=(count * len(directions), directions.shape[1])
    )
    return rng.permutation(points * rng.uniform(0.1, 10, (len(points), 1)))


def assert_never_decreases(objective: list[float], tolerance: float) -> None:
    assert all(after >= before - tolerance for before, after in itertools.pairwise(objective))


@starts
@given(x=arrays(st.integers(10, 40), 3), k=st.integers(1, 8), seed=st.integers(0, 1000))
@few
def test_objective_never_decreases(start: str, x: np.ndarray, k: int, seed: int) -> None:
    found = spherical_kmeans(x, k, iterations=30, init=start, rng=seed)
    assert_never_decreases(found.objective, 1e-14)
    assert 1 <= len(found.objective) <= 30


coordinates = st.tuples(*[st.integers(-2, 2)] * 3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@given(
    x=st.lists(
        coordinates, min_size=5, max_size=30
    ),  # few values: repeated points, ties, points that cancel
    start=st.lists(
        coordinates.filter(any), min_size=1, max_size=8
    ),  # repeated and far ones: empty clusters
)
@settings(max_examples=200, deadline=None)
def test_objective_never_decreases_with_ties_and_empty_clusters(
    dtype: str, x: list[tuple[int, ...]], start: list[tuple[int, ...]]
) -> None:
    points = np.array(x, dtype)
    assume(len(np.unique(unit(points).round(4), axis=0)) >= len(start))
    found = spherical_kmeans(points, len(start), iterations=30, init=start)
    assert_never_decreases(found.objective, 1e-6 if dtype == "float32" else 1e-14)
    # it ended by itself
    if len(found.objective) < 30:
        assert len(np.unique((unit(points) @ found.centroids.T).round(6).argmax(axis=1))) == len(
            start
        )


def test_objective_never_decreases_where_many_clusters_restart() -> None:
    rng = np.random.default_rng(0)
    x = around(rng.normal(size=(30, 20)), 100, 0.3, 1).astype("float32")
    start = np.concatenate(
        [x[:2], np.tile(-x.mean(axis=0), (38, 1)) + 1e-3 * rng.normal(size=(38, 20))]
    )
    found = spherical_kmeans(x, 40, iterations=30, init=start)
    assert_never_decreases(found.objective, 1e-6)
    assert len(np.unique((x @ found.centroids.T).argmax(axis=1))) == 40


@starts
@given(x=arrays(30, 4), k=st.integers(1, 30), iterations=st.integers(1, 5))
@few
def test_centroids_have_norm_1(start: str, x: np.ndarray, k: int, iterations: int) -> None:
    found = spherical_kmeans(x, k, iterations=iterations, init=start)
    assert found.centroids.shape == (k, 4)
    np.testing.assert_allclose([math.hypot(*c) for c in found.centroids], 1, rtol=1e-14)


@given(x=patches_with_zero_norm(40, 3), k=st.integers(1, 6), seed=st.integers(0, 1000))
@few
def test_centroids_are_the_mean_directions_of_the_points_nearest_to_them(
    x: np.ndarray, k: int, seed: int
) -> None:
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
    found = spherical_kmeans(x, 12, init=start)
    assert sorted(map(tuple, found.centroids.round(12))) == sorted(map(tuple, unit(x).round(12)))
    assert found.objective[-1] == pytest.approx(1, abs=1e-14)


@starts
def test_well_separated_directions_are_recovered(start: str) -> None:
    directions = np.concatenate([np.eye(4), -np.eye(4)])
    best = max(
        (
            spherical_kmeans(around(directions, 40, 0.02, 1), 8, init=start, rng=seed)
            for seed in range(5)
        ),
        key=lambda found: found.objective[-1],
    )
    cosines = best.centroids @ directions.T
    assert sorted(cosines.argmax(axis=1)) == list(range(8))
    assert (cosines.max(axis=1) > 0.999).all()


@given(x=arrays(20, 3), zeros=st.lists(st.integers(0, 20), min_size=1, max_size=5))
@few
def test_zero_rows_are_left_out(x: np.ndarray, zeros: list[int]) -> None:
    without, with_zeros = (
        spherical_kmeans(x, 4, rng=5),
        spherical_kmeans(np.insert(x, zeros, 0.0, axis=0), 4, rng=5),
    )
    np.testing.assert_array_equal(with_zeros.centroids, without.centroids)
    assert with_zeros.objective == without.objective


@given(x=arrays(20, 3), scale=st.floats(1e-3, 1e3))
@few
def test_only_directions_count(x: np.ndarray, scale: float) -> None:
    x = unit(x)
    lengths = scale * np.random.default_rng(0).uniform(0.5, 2, (20, 1))
    np.testing.assert_allclose(
        spherical_kmeans(lengths * x, 3, rng=0).centroids,
        spherical_kmeans(x, 3, rng=0).centroids,
        atol=1e-12,
    )


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused(value: float) -> None:
    x = np.eye(3)
    x[1, 2] = value
    with pytest.raises(DataError, match="argument x expected finite numbers, got NaN or infinity"):
        spherical_kmeans(x, 2)


def test_an_empty_cluster_restarts_at_the_worst_fitting_point() -> None:
    x = np.array(
        [[1.0, 0.0, 0.0], [10.0, 1.0, 0.0], [10.0, 0.0, 1.0], [1.0, 0.0, 0.4], [0.0, 0.0, 0.0]]
    )
    seeds = np.array([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]])
    once = spherical_kmeans(x, 2, iterations=1, init=seeds)
    np.testing.assert_allclose(once.centroids[1], unit(x)[3], atol=1e-15)
    found = spherical_kmeans(x, 2, init=seeds)
    total = unit(x)[:3].sum(axis=0)
    np.testing.assert_allclose(
        found.centroids, [total / np.linalg.norm(total), unit(x)[3]], atol=1e-15
    )


def test_it_does_not_end_while_a_cluster_is_empty() -> None:
    x = np.array(
        [[0.2, 1.0, 0.0], [1.0, 0.0, 0.1], [1.0, 0.0, -0.1]]
    )  # the first fits worst, but then perfectly
    found = spherical_kmeans(x, 3, init=[[0.0, 1.0, 3.0], [1.0, 0.0, 0.0], [-1.0, -1.0, 0.0]])
    assert len(np.unique((unit(x) @ found.centroids.T).argmax(axis=1))) == 3


def test_several_empty_clusters_restart_at_different_points() -> None:
    x = np.array([[1.0, 0.0, 0.0], [1.0, 0.3, 0.0], [1.0, 0.0, 0.4], [1.0, 0.01, 0.0]])
    seeds = np.array([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [-1.0, 0.1, 0.0]])
    once = spherical_kmeans(x, 3, iterations=1, init=seeds)
    np.testing.assert_allclose(once.centroids[1:], unit(x)[[2, 1]], atol=1e-15)
    found = spherical_kmeans(x, 3, init=seeds)
    assert sorted((unit(x) @ found.centroids.T).argmax(axis=1)) == [0, 0, 1, 2]


def test_a_cluster_whose_points_cancel_restarts() -> None:
    x = np.array([[0.0, 1.0], [0.0, -1.0]])
    np.testing.assert_allclose(
        abs(spherical_kmeans(x, 1, init=[[1.0, 0.0]]).centroids), [[0.0, 1.0]]
    )


@starts
def test_the_seed_fixes_every_bit(start: str) -> None:
    x = np.random.default_rng(1).normal(size=(300, 6)).astype("float32")
    one, same, other = (
        spherical_kmeans(x, 10, iterations=3, init=start, rng=seed) for seed in (3, 3, 4)
    )
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
def test_blocks_do_not_change_the_result(
    monkeypatch: pytest.MonkeyPatch, d: int, tiled: bool
) -> None:
    x = np.random.default_rng(1).normal(size=(301, d))
    x[[0, 17, 200]] = 0
    whole = spherical_kmeans(x, 7, rng=0)
    monkeypatch.setattr(directions, "_has_cpu_kernel", lambda x: tiled)
    monkeypatch.setattr(directions, "_BLOCK", 7 * 10)
    monkeypatch.setattr(cpu, "_TILE_BYTES", 7 * 10 * 8)
    monkeypatch.setattr(cpu, "_CACHED_BYTES", 7 * 4 * 8)
    monkeypatch.setattr(cpu, "_MIN_TILE", 1)
    in_pieces = spherical_kmeans(x, 7, rng=0)
    np.testing.assert_allclose(in_pieces.centroids, whole.centroids, atol=1e-12)
    np.testing.assert_allclose(in_pieces.objective, whole.objective, rtol=1e-13)


@pytest.mark.parametrize("d", [6, 130])
def test_the_number_of_threads_changes_no_bit(threads: Callable[[int], None], d: int) -> None:
    x = np.random.default_rng(1).normal(size=(30_000, d)).astype("float32")
    found = []
    for n in (1, 2, 5):
        threads(n)
        found.append(spherical_kmeans(x, 40, iterations=3, rng=0))
    for other in found[1:]:
        np.testing.assert_array_equal(other.centroids, found[0].centroids)
        assert other.objective == found[0].objective


def test_points_in_a_file_give_the_same_bits(tmp_path: Path) -> None:
    x = np.random.default_rng(1).normal(size=(300, 6)).astype("float32")
    np.save(tmp_path / "x.npy", x)
    found = spherical_kmeans(np.load(tmp_path / "x.npy", mmap_mode="r"), 10, rng=0)
    np.testing.assert_array_equal(found.centroids, spherical_kmeans(x, 10, rng=0).centroids)


def test_data_are_not_changed_and_the_dtype_is_kept() -> None:
    x = np.random.default_rng(1).normal(size=(30, 4)).astype("float32")
    before = x.copy()
    assert spherical_kmeans(x, 3).centroids.dtype == "float32"
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"n_clusters": 0},
            "argument n_clusters expected an integer >= 1, got 0",
        ),
        (
            {"n_clusters": 2.0},
            r"argument n_clusters expected an integer >= 1, got 2\.0",
        ),
        (
            {"iterations": 0},
            "argument iterations expected an integer >= 1, got 0",
        ),
        ({"batch_size": 0}, "argument batch_size expected an integer >= 1 or None, got 0"),
        (
            {"batch_size": 2.5},
            r"argument batch_size expected an integer >= 1 or None, got 2\.5",
        ),
        (
            {"init": "best"},
            "argument init expected 'k-means\\+\\+', 'random' or an array of centroids, got 'best'",
        ),
    ],
)
def test_options_out_of_range_are_refused(options, message: str) -> None:
    n_clusters = options.pop("n_clusters", 2)
    with pytest.raises(ConfigError, match=f"^spherical_kmeans: {message}"):
        spherical_kmeans(np.eye(3), n_clusters, **options)


def test_each_iteration_is_reported() -> None:
    seen: list[tuple[int, float]] = []
    found = spherical_kmeans(
        np.eye(3), 2, report=lambda iteration, objective: seen.append((iteration, objective))
    )
    assert seen == list(enumerate(found.objective, 1))
    assert 2 <= len(seen) < 10


def test_the_objective_is_that_at_the_start_of_each_iteration() -> None:
    points = np.random.default_rng(0).normal(size=(200, 3))
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    short, longer = (spherical_kmeans(points, 4, iterations=n, rng=0) for n in (1, 2))
    assert len(short.objective) == 1
    assert np.isclose(longer.objective[1], (unit @ short.centroids.T).max(axis=1).mean())
