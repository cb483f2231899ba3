"""Coinciding filters, whose Nystrom factor subtracts numbers of size 1 / sqrt(eps)."""

import numpy as np
import pytest

from tinygrad_ckn.models import CKNLayer


def layer_of(filters, dtype, eps, **options):
    layer = CKNLayer(1, len(filters), 3, eps=eps, dtype=dtype, **options)
    layer.set_filters(filters)
    return layer


def results(filters, dtype, eps, **options):
    """Return the features of random images, and the gradient of the filters."""
    layer = layer_of(filters, dtype, eps, **options)
    x = np.random.default_rng(2).random((2, 1, 8, 8)).astype(dtype)
    y = layer(x)
    (y * y).sum().backward()
    return y.numpy().astype("float64"), layer.weight.grad.numpy().astype("float64")


@pytest.mark.parametrize("eps", [1e-3, 1e-4, 1e-6])
@pytest.mark.parametrize("count", [2, 100, 500])
@pytest.mark.parametrize("options", [{}, {"subsampling": 2}])
def test_equal_filters_give_features_and_gradients_to_float32(count, eps, options):
    filters = np.tile(np.random.default_rng(1).standard_normal((1, 9)), (count, 1))
    (y, g), (exact, exact_g) = (
        results(filters, dtype, eps, **options) for dtype in ("float32", "float64")
    )
    assert np.abs(y - exact).max() <= 2e-6 * np.abs(exact).max()
    assert np.abs(g - exact_g).max() <= 1e-3 * np.abs(exact_g).max()


def test_equal_filters_give_what_one_of_them_gives():
    filters = np.random.default_rng(1).standard_normal((1, 9))
    one, _ = results(filters, "float64", 1e-6)
    many, _ = results(np.tile(filters, (50, 1)), "float32", 1e-6)
    # (1 1^T + eps I)^(-1/2) 1 = 1 / sqrt(p + eps), so all features together have the
    # norm of one with eps / p
    np.testing.assert_allclose(np.sqrt((many**2).sum(axis=1)), one[:, 0], rtol=2e-6)


def test_filters_that_differ_are_applied_in_float32():
    layer = layer_of(np.random.default_rng(1).standard_normal((6, 9)), "float32", 1e-3)
    assert layer.factors()[0].dtype == np.float32
    exact = layer_of(layer.weight.numpy().astype("float64"), "float64", 1e-3).factors()[0].numpy()
    assert np.abs(layer.factors()[0].numpy() - exact).max() <= 1e-6 * np.abs(exact).max()
