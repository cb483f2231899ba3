import math
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_ckn import parallel
from tinygrad_ckn.models.clustering.spherical_kmeans import spherical_kmeans
from tinygrad_ckn.testing.strategies import patches_with_zero_norm


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """A function that sets the number of threads, until the test ends."""
    before = parallel.get_num_threads()
    yield parallel.set_num_threads
    parallel.set_num_threads(before)


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def clustered(n: int, d: int, clusters: int, seed: int) -> np.ndarray:
    """Return points of any length around a few directions."""
    rng = np.random.default_rng(seed)
    x = unit(rng.normal(size=(clusters, d)))[rng.integers(0, clusters, n)] + 0.4 / math.sqrt(
        d
    ) * rng.normal(size=(n, d))
    return x * rng.uniform(0.1, 10, (n, 1))


def sculley(
    x: np.ndarray, start: np.ndarray, batch_size: int, passes: int, seed: int
) -> tuple[np.ndarray, list[float]]:
    """Return centroids and mean cosines by a loop over points, one learning rate per centroid."""
    rng = np.random.default_rng(seed)
    points = [(i, p / math.hypot(*p)) for i, p in enumerate(x) if p.any()]
    means = unit(start)
    counts = [1] * len(means)
    objective = []
    for _ in range(passes):
        order = rng.permutation(len(points))
        seen, hit = [], set()
        for first in range(0, len(order), batch_size):
            batch = [points[i] for i in sorted(order[first : first + batch_size])]
            cosines = [[float(p @ m) / math.hypot(*m) for m in means] for _, p in batch]
            for (i, p), row in zip(batch, cosines, strict=True):
                nearest = int(np.argmax(row))
                counts[nearest] += 1
                means[nearest] += (p - means[nearest]) / counts[nearest]
                seen.append((row[nearest], i))
                hit.add(nearest)
        objective.append(math.fsum(c for c, _ in seen) / len(seen))
        worst = iter(sorted(seen))
        for c in set(range(len(means))) - hit:
            i = next(worst)[1]
            means[c], counts[c] = x[i] / math.hypot(*x[i]), 1
    return unit(means), objective


@given(
    x=patches_with_zero_norm(40, 3),
    k=st.integers(1, 5),
    batch_size=st.integers(1, 50),
    passes=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
@settings(max_examples=40, deadline=None)
def test_batches_move_centroids_as_a_loop_with_learning_rates_does(
    x: np.ndarray, k: int, batch_size: int, passes: int, seed: int
) -> None:
    start = np.random.default_rng(seed).normal(size=(k, 3))
    expected, objective = sculley(x, start, batch_size, passes, seed)
    found = spherical_kmeans(x, k, iterations=passes, batch_size=batch_size, init=start, rng=seed)
    np.testing.assert_allclose(found.centroids, expected, atol=1e-9)
    np.testing.assert_allclose(found.objective, objective, atol=1e-9)


@pytest.mark.parametrize("batch_size", [50, 333, 10_000])
def test_batches_come_near_what_full_passes_find(batch_size: int) -> None:
    x = clustered(4000, 20, 12, 0)

    def best(**options) -> float:
        runs = (spherical_kmeans(x, 12, rng=seed, **options).centroids for seed in range(3))
        return max((unit(x) @ c.T).max(axis=1).mean() for c in runs)

    assert best(batch_size=batch_size) > 0.99 * best()


def test_batches_come_near_what_scikit_learn_finds() -> None:
    from sklearn.cluster import MiniBatchKMeans

    x = unit(clustered(4000, 20, 12, 0))

    def cosine(centroids: np.ndarray) -> float:
        return float((x @ unit(centroids).T).max(axis=1).mean())

    ours = [spherical_kmeans(x, 12, batch_size=200, rng=seed).centroids for seed in range(3)]
    theirs = (
        MiniBatchKMeans(12, batch_size=200, max_iter=10, n_init=3, random_state=0)
        .fit(x)
        .cluster_centers_
    )
    assert max(map(cosine, ours)) > 0.99 * cosine(theirs)


def test_a_cluster_without_points_in_a_pass_restarts_at_the_worst_fitting_point() -> None:
    x = np.array(
        [[1.0, 0.0, 0.0], [10.0, 1.0, 0.0], [10.0, 0.0, 1.0], [1.0, 0.0, 0.4], [0.0, 0.0, 0.0]]
    )
    start = np.array([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]])
    found = spherical_kmeans(x, 2, iterations=1, batch_size=10, init=start)
    np.testing.assert_allclose(found.centroids[1], unit(x[3:4])[0], atol=1e-15)


def test_centroids_stay_where_points_cancel_until_the_pass_ends() -> None:
    x = np.array([[-1.0, 0.0], [6.0, 8.0]])
    assert np.random.default_rng(0).permutation(2).tolist() == [0, 1]
    found = spherical_kmeans(x, 1, iterations=1, batch_size=1, init=[[1.0, 0.0]], rng=0)
    assert found.objective == pytest.approx([(-1 + 0.6) / 2])
    np.testing.assert_allclose(found.centroids, [[0.6, 0.8]], atol=1e-15)
    found = spherical_kmeans(x[:1], 1, iterations=1, batch_size=1, init=[[1.0, 0.0]])
    np.testing.assert_allclose(found.centroids, x[:1], atol=1e-15)


@given(x=patches_with_zero_norm(30, 3), batch_size=st.integers(1, 40))
@settings(max_examples=20, deadline=None)
def test_zero_rows_are_left_out(x: np.ndarray, batch_size: int) -> None:
    found, without = (
        spherical_kmeans(y, 3, batch_size=batch_size, rng=5) for y in (x, x[x.any(axis=1)])
    )
    np.testing.assert_array_equal(found.centroids, without.centroids)
    assert found.objective == without.objective


def test_iterations_are_passes_and_each_is_reported() -> None:
    seen: list[tuple[int, float]] = []
    found = spherical_kmeans(
        clustered(100, 4, 3, 0),
        3,
        iterations=7,
        batch_size=9,
        report=lambda i, value: seen.append((i, value)),
    )
    assert seen == list(enumerate(found.objective, 1))
    assert len(seen) == 7


@pytest.mark.parametrize("d", [6, 130])
def test_the_seed_fixes_every_bit_whatever_the_number_of_threads(
    threads: Callable[[int], None], d: int
) -> None:
    x = np.random.default_rng(1).normal(size=(20_000, d)).astype("float32")
    found = []
    for n in (1, 2, 5):
        threads(n)
        found.append(spherical_kmeans(x, 40, iterations=2, batch_size=7000, rng=3))
    for other in found[1:]:
        np.testing.assert_array_equal(other.centroids, found[0].centroids)
        assert other.objective == found[0].objective
    assert not np.allclose(
        spherical_kmeans(x, 40, iterations=2, batch_size=7000, rng=4).centroids, found[0].centroids
    )


def test_points_in_a_file_give_the_same_bits(tmp_path: Path) -> None:
    x = np.random.default_rng(1).normal(size=(300, 6)).astype("float32")
    np.save(tmp_path / "x.npy", x)
    found = spherical_kmeans(np.load(tmp_path / "x.npy", mmap_mode="r"), 10, batch_size=64, rng=0)
    np.testing.assert_array_equal(
        found.centroids, spherical_kmeans(x, 10, batch_size=64, rng=0).centroids
    )
    assert type(found.centroids) is np.ndarray
    assert found.centroids.dtype == "float32"


@pytest.mark.parametrize("batch_size", [None, 500])
def test_points_are_never_copied(batch_size: int | None) -> None:
    x = np.random.default_rng(1).normal(size=(60_000, 64)).astype("float32")
    spherical_kmeans(
        x[:5000], 8, iterations=1, batch_size=batch_size
    )  # imports, and what threads keep
    tracemalloc.start()
    try:
        spherical_kmeans(x, 8, iterations=2, batch_size=batch_size)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < x.nbytes / 4
