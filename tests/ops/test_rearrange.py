"""Elements moved, repeated in blocks and masked by position, against NumPy."""

import numpy as np
import pytest

from tinygrad_ckn import Tensor, ops
from tinygrad_ckn.errors import ShapeError

x = np.arange(6.0).reshape(2, 3)
cube = np.arange(24.0).reshape(2, 3, 4)


@pytest.mark.parametrize("shift", [0, 1, -4, 7])
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 1)])
def test_roll(shift, axis):
    assert np.array_equal(np.roll(Tensor(x), shift, axis=axis), np.roll(x, shift, axis=axis))


@pytest.mark.parametrize("k", [-4, -1, 0, 1, 4])
def test_triangles_and_diagonals(k):
    assert np.array_equal(ops.tril(cube, k=k), np.tril(cube, k))
    assert np.array_equal(ops.triu(cube, k=k), np.triu(cube, k))
    assert np.array_equal(ops.diag(x[0], k), np.diag(x[0], k))
    if abs(k) < 2:
        assert np.array_equal(ops.diag(x, k), np.diag(x, k))
    assert ops.diag(x, 9).shape == (0,)


@pytest.mark.parametrize("repetitions", [0, 2, (3,), (2, 1), (2, 0), (2, 1, 3), ()])
def test_tile(repetitions):
    assert np.array_equal(ops.tile(x, repetitions), np.tile(x, repetitions))


def test_unstack_undoes_stack():
    for axis in (0, 1, -1):
        parts = ops.unstack(Tensor(cube), axis=axis)
        assert isinstance(parts, tuple)
        assert np.array_equal(ops.stack(parts, axis=axis), cube)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: ops.tile(x, -1), "tile: expected integers >= 0"),
        (lambda: ops.diag(cube), "diag: expected a vector or a matrix"),
        (lambda: ops.unstack(Tensor(1.0)), "unstack: argument axis"),
        (lambda: ops.triu(x[0]), "triu: expected matrices"),
    ],
)
def test_bad_arguments_get_a_sentence(call, match):
    with pytest.raises(ShapeError, match=match):
        call()
