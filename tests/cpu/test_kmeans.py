import math

import numpy as np
import pytest

from tinygrad_ckn.cpu import kmeans as cpu


@pytest.mark.parametrize("k", [5, 300])
# pieces of the maximum size, small pieces; rows in pieces, and in one
@pytest.mark.parametrize("d", [4, 90, 130, 1300])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nearest_centroids_and_sums_are_those_of_loops(k: int, d: int, dtype: str) -> None:
    rng = np.random.default_rng(2)
    x, centroids = (
        rng.normal(0, 2 / math.sqrt(d), (4500, d)).astype(dtype),
        rng.normal(size=(k, d)).astype(dtype),
    )
    centroids /= np.linalg.norm(centroids, axis=1, keepdims=True)
    scales = rng.uniform(0, 2, len(x)).astype(dtype)
    nearest, cosines, sums = cpu.assign(x, scales, centroids, True)
    products = x.astype("float64") @ centroids.T.astype("float64")
    np.testing.assert_array_equal(nearest, products.argmax(axis=1))
    np.testing.assert_allclose(
        cosines, products.max(axis=1) * scales, atol=2e-6 if dtype == "float32" else 4e-15
    )
    expected = np.zeros((k, d))
    for point, scale, cluster in zip(x, scales, nearest, strict=True):
        expected[cluster] += scale * point.astype("float64")
    np.testing.assert_allclose(sums, expected, atol=1e-3 if dtype == "float32" else 1e-11)


@pytest.mark.parametrize("n", [1, 7, 300])
# pieces of 256 points, of 50, and one piece
@pytest.mark.parametrize("k", [1, 200, 10_100])
def test_products_in_pieces_are_those_of_the_whole(k: int, n: int) -> None:
    rng = np.random.default_rng(3)
    centroids, points = (
        rng.integers(-4, 5, (k, 100)).astype(float),
        rng.integers(-4, 5, (n, 100)).astype(float),
    )
    found = cpu._products(np.asfortranarray(centroids), points, np.full((k, n), np.nan))
    # integers, hence without rounding
    np.testing.assert_array_equal(found, np.einsum("kd,nd->kn", centroids, points))


@pytest.mark.parametrize("k", [3, 260])
@pytest.mark.parametrize("d", [2, 130])
def test_ties_go_to_the_first_centroid(k: int, d: int) -> None:
    centroids = np.tile(np.eye(d)[0], (k, 1))
    centroids[0] = np.eye(d)[1]
    points = np.array([[2.0], [3.0]]) * np.eye(d)[:2]
    nearest, cosines, sums = cpu.assign(points, np.array([0.5, 1 / 3]), centroids, True)
    assert nearest.tolist() == [1, 0]
    assert cosines.tolist() == [1, 1]
    np.testing.assert_array_equal(sums[:2], np.eye(d)[[1, 0]])
