"""NaN, infinite and hot pixels change only the windows that weight them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_ckn import ops
from tinygrad_ckn.tensor import Tensor

POOLS = {
    "average": lambda x: ops.avg_pool2d(x, 2),
    "average, padded": lambda x: ops.avg_pool2d(x, (3, 2), stride=(1, 2), padding=1),
    "gaussian": lambda x: ops.gaussian_pool2d(x, 2),
    "gaussian, fractional": lambda x: ops.gaussian_pool2d(x, (1.5, 3)),
    "maximum": lambda x: ops.max_pool2d(x, 2),
    "maximum, padded": lambda x: ops.max_pool2d(x, 3, stride=2, padding=1),
}


def gradient(pool, x, g):
    """Return the gradient with respect to x for the gradient g of the output."""
    leaf = Tensor(x, requires_grad=True)
    (pool(leaf) * 1.0).backward(Tensor(g))
    return leaf.grad.numpy()


@pytest.mark.parametrize("name", POOLS)
@given(st.integers(0, 2**32 - 1), st.sampled_from([np.nan, np.inf, -np.inf, 1e6]))
def test_a_pixel_changes_only_the_windows_that_weight_it(name, seed, value):
    random = np.random.default_rng(seed)
    pool = POOLS[name]
    x = random.standard_normal((2, 2, random.integers(4, 40), random.integers(4, 40)))
    i, j = random.integers(x.shape[2]), random.integers(x.shape[3])
    alone = np.zeros_like(x)
    alone[0, 1, i, j] = 1
    spoiled = x.copy()
    spoiled[0, 1, i, j] = value
    with np.errstate(all="ignore"):
        y = pool(spoiled)
    if name.startswith("maximum"):
        above = x.copy()
        above[0, 1, i, j] = 100.0
        weighted = pool(above) == 100.0
        assert (
            np.isnan(y[weighted]).all()
            if np.isnan(value)
            else (y[weighted] == max(value, -np.inf)).all() or value < 0
        )
    else:
        weighted = pool(alone) > 0
        weight = pool(alone)[weighted]
        assert np.allclose(y[weighted], value * weight, atol=10, equal_nan=True)
    assert np.array_equal(y[~weighted], pool(x)[~weighted]) or np.allclose(
        y[~weighted], pool(x)[~weighted], rtol=1e-15, atol=1e-15
    )


@pytest.mark.parametrize("name", POOLS)
@given(st.integers(0, 2**32 - 1), st.sampled_from([np.nan, np.inf, -np.inf]))
def test_a_gradient_changes_only_the_pixels_of_its_window(name, seed, value):
    random = np.random.default_rng(seed)
    pool = POOLS[name]
    x = random.standard_normal((2, 2, random.integers(4, 40), random.integers(4, 40)))
    g = random.standard_normal(pool(x).shape)
    i, j = random.integers(g.shape[2]), random.integers(g.shape[3])
    alone = np.zeros_like(g)
    alone[0, 1, i, j] = 1
    reached = gradient(pool, x, alone) > 0
    clean = gradient(pool, x, g)
    g[0, 1, i, j] = value
    with np.errstate(all="ignore"):
        actual = gradient(pool, x, g)
    assert reached.any()
    assert np.array_equal(actual[reached], np.full(reached.sum(), value), equal_nan=True)
    assert np.allclose(actual[~reached], clean[~reached], rtol=1e-14, atol=1e-14)
