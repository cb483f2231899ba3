"""The tiles of maximum pooling and its adjoints give what the plain forwards give."""

import numpy as np
import pytest

from tinygrad_ckn import parallel
from tinygrad_ckn.cpu import max_pool
from tinygrad_ckn.ops.max_pool import gather_at_maxima, max_pool2d, scatter_to_maxima


@pytest.mark.parametrize("options", [(2, None, 0), (3, 2, 1), ((1, 3), (2, 1), 0)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tiles_are_the_whole(options: tuple, dtype: str, monkeypatch: pytest.MonkeyPatch):
    # Two planes a tile.
    monkeypatch.setattr(max_pool, "_TILE", 2 * 42 * np.dtype(dtype).itemsize)
    rng = np.random.default_rng(0)
    x = rng.integers(0, 9, (3, 5, 7, 6)).astype(dtype)
    cuts = []
    tiles = parallel.tiles
    monkeypatch.setattr(parallel, "tiles", lambda *args: cuts.append(tiles(*args)) or cuts[-1])
    y = max_pool2d(x, *options)
    np.testing.assert_array_equal(y, max_pool2d.forward(np, x, *options))
    # Of another layout, as gradients that were broadcast are.
    g = np.broadcast_to(rng.standard_normal(y.shape[2:]).astype(dtype), y.shape)
    for primitive, values in ((scatter_to_maxima, g), (gather_at_maxima, x.swapaxes(0, 0))):
        expected = primitive.forward(np, values, x, y, *options)
        found = primitive(values, x, y, *options)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, expected)
    assert [len(cut) for cut in cuts] == [8, 8, 8]
