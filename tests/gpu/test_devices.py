"""Caches for one device are not used for another."""

from types import SimpleNamespace

import numpy as np
import pytest

from tinygrad_ckn import ops
from tinygrad_ckn.cuda import pool
from tinygrad_ckn.ops import pool_matrices
from tinygrad_ckn.tensor import Tensor

pytestmark = pytest.mark.usefixtures("standin")


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_bands_and_matrices_of_one_device_are_not_used_on_another(monkeypatch, dtype):
    x = Tensor(np.ones((1, 1, 11, 7), dtype), device="cuda")
    caches = pool._bands, pool_matrices._gaussian_matrix
    for cache in caches:
        cache.cache_clear()

    def made():
        with np.errstate(all="ignore"):
            ops.gaussian_pool2d(x, 3)
        return sum(cache.cache_info().misses for cache in caches)

    first = made()
    assert made() == first
    monkeypatch.setattr(type(x.data), "device", property(lambda self: SimpleNamespace(id=1)))
    assert made() > first
