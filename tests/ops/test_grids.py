"""Common shapes and grids against NumPy."""

import numpy as np
import pytest

from tinygrad_ckn import Tensor, ops
from tinygrad_ckn.errors import ConfigError, ShapeError

vectors = [np.arange(3.0), np.arange(2.0), np.arange(4.0)]


@pytest.mark.parametrize("indexing", ["xy", "ij"])
@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_meshgrid(indexing, count):
    found = ops.meshgrid(*[Tensor(v) for v in vectors[:count]], indexing=indexing)
    expected = np.meshgrid(*vectors[:count], indexing=indexing)
    assert isinstance(found, list)
    for a, b in zip(found, expected, strict=True):
        assert np.array_equal(a, b)


def test_broadcast_arrays():
    arrays = [np.ones((2, 1)), np.ones(3), np.ones((1, 1, 1)), 2.0]
    assert [a.shape for a in ops.broadcast_arrays(*arrays)] == [(1, 2, 3)] * 4
    assert ops.broadcast_arrays(np.ones((0, 1)), np.ones(3))[1].shape == (0, 3)


def test_bad_arguments_get_a_sentence():
    with pytest.raises(ShapeError, match=r"broadcast_arrays: .* got \(2,\), \(3,\)"):
        ops.broadcast_arrays(np.ones(2), np.ones(3))
    with pytest.raises(ShapeError, match="meshgrid: expected vectors, got shapes"):
        ops.meshgrid(np.ones((2, 2)))
    with pytest.raises(ConfigError, match="argument indexing expected 'xy' or 'ij'"):
        ops.meshgrid(np.ones(2), indexing="yx")
