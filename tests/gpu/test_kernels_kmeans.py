"""One pass of k-means on the device against NumPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_ckn.cuda import kmeans
from tinygrad_ckn.models.clustering.assignment import assign
from tools.gpu_emulator.kernel_testing import (
    CUPY,
    agree,
    dtypes,
    examples,
    launched_often,
    normal,
    seeds,
)

pytestmark = pytest.mark.usefixtures("compiler", "standin")


def passed(x, scales, centroids, dtype, **options):
    """Return the results of a pass, on the host."""
    arrays = (CUPY.asarray(a.astype(dtype)) for a in (x, scales, centroids))
    return [CUPY.asnumpy(found) for found in assign(*arrays, **options)]


def unit(rows):
    return rows / np.sqrt((rows**2).sum(axis=1, keepdims=True))


@pytest.mark.untraced
def test_a_pass():
    @examples
    @given(st.integers(1, 180), st.integers(1, 140), st.integers(1, 70), dtypes, seeds)
    def run(n, d, k, dtype, seed):
        x, centroids = normal(seed, (n, d), (k, d), dtype=dtype)
        centroids = unit(centroids).astype(dtype).astype("float64")
        scales = (1 / np.sqrt((x**2).sum(axis=1))).astype(dtype).astype("float64")
        nearest, cosines, sums = passed(x, scales, centroids, dtype)
        all_cosines = x @ centroids.T * scales[:, None]
        agree(cosines, all_cosines.max(axis=1), 1)
        # Rounding may decide.
        agree(all_cosines[np.arange(n), nearest].astype(dtype), all_cosines.max(axis=1), 1)
        expected = np.zeros((k, d))
        np.add.at(expected, nearest, x * scales[:, None])
        agree(sums, expected, n**0.5)

    run()
    launched_often("nearest", "cluster_sums")


def test_ties_go_to_the_first_centroid():
    centroids = unit(np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]] * 30))
    nearest = passed(
        np.array([[2.0, 0.0], [0.0, 3.0]]), np.array([0.5, 1 / 3]), centroids, "float64"
    )[0]
    assert nearest.tolist() == [1, 0]


def test_products_in_blocks_and_sums_in_segments(monkeypatch):
    monkeypatch.setattr(kmeans, "_SIMILARITIES", 7 * 11)
    monkeypatch.setattr(kmeans, "_SEGMENT", 150)
    x, centroids = normal(1, (500, 3), (11, 3))
    scales = 1 / np.sqrt((x**2).sum(axis=1))
    nearest, cosines, sums = passed(x, scales, unit(centroids), "float64")
    all_cosines = unit(x) @ unit(centroids).T
    assert np.array_equal(nearest, all_cosines.argmax(axis=1))
    agree(cosines, all_cosines.max(axis=1))
    agree(sums, (nearest == np.arange(11)[:, None]).astype("float64") @ unit(x))


def test_sums_are_optional_and_zero_for_no_points():
    x, centroids = normal(1, (5, 3), (2, 3))
    assert not passed(x, np.ones(5), unit(centroids), "float64", with_sums=False)[2].any()
    nearest, cosines, sums = passed(x[:0], np.ones(0), unit(centroids), "float32")
    assert (nearest.shape, cosines.shape, sums.tolist()) == ((0,), (0,), [[0, 0, 0], [0, 0, 0]])
