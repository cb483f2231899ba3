import numpy as np
import pytest

from tinygrad_ckn.cpu.ckn_map.pooling import Pooling
from tinygrad_ckn.ops.pool_matrices import gaussian_matrices

SHAPES = [((9, 7), (2, 2)), ((70, 41), (1.5, 3)), ((5, 6), (40, 2))]


@pytest.fixture(params=SHAPES, ids=str)
def matrices(request: pytest.FixtureRequest):
    size, subsampling = request.param
    return gaussian_matrices(np, size, subsampling, np.dtype("float64"))


def test_pooling_is_two_products_of_norms_times_values(matrices) -> None:
    rows, columns = matrices
    random = np.random.default_rng(0)
    norms = random.random((2, rows.shape[1], columns.shape[1]))
    values = random.normal(size=(*norms.shape, 3))
    pooling = Pooling(rows, columns)
    out = np.empty((2, len(rows), len(columns), 3))
    pooling.pool(pooling.weights(norms), values, out)
    expected = np.einsum("hi,bij,bijo,wj->bhwo", rows, norms, values, columns)
    np.testing.assert_allclose(out, expected, atol=1e-12)


def test_unpooling_is_its_adjoint(matrices) -> None:
    rows, columns = matrices
    g = np.random.default_rng(0).normal(size=(2, len(rows), len(columns), 3))
    out = np.empty((2, rows.shape[1], columns.shape[1], 3))
    assert Pooling(rows, columns).unpool(g, out) is out
    np.testing.assert_allclose(out, np.einsum("hi,bhwo,wj->bijo", rows, g, columns), atol=1e-12)


def test_masks_of_outputs_and_positions_follow_the_matrices(matrices) -> None:
    rows, columns = matrices
    pooling = Pooling(rows, columns)
    position = np.zeros((1, rows.shape[1], columns.shape[1]), bool)
    position[0, 1, 2] = True
    expected = np.outer(rows[:, 1] > 0, columns[:, 2] > 0)
    np.testing.assert_array_equal(pooling.outputs_of(position)[0], expected)
    output = np.zeros((1, *pooling.size, 1), bool)
    output[0, 0, 0] = True
    expected = np.outer(rows[0] > 0, columns[0] > 0)
    np.testing.assert_array_equal(pooling.positions_of(output)[0, ..., 0], expected)
