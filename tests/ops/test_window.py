"""unfold and fold."""

import numpy as np
from hypothesis import given

from tinygrad_ckn import ops
from tinygrad_ckn.testing.strategies import conv_args


@given(conv_args(max_size=5))
def test_unfold_returns_the_patches_that_correlate2d_multiplies(args):
    x, w, options = args
    groups = options.pop("groups")
    if groups == 1:
        columns = ops.unfold(x, w.shape[2:], **options)
        y = ops.correlate2d(x, w, **options)
        assert np.allclose(
            w.reshape(len(w), -1) @ columns, y.reshape(*y.shape[:2], columns.shape[2])
        )


def test_unfold_is_ordered_channel_by_channel():
    x = np.arange(18.0).reshape(1, 2, 3, 3)
    columns = ops.unfold(x, 2)
    assert columns.shape == (1, 8, 4)
    assert columns[0, :, 0].tolist() == [0, 1, 3, 4, 9, 10, 12, 13]
    assert np.array_equal(
        ops.fold(columns, 3, 2)[0, 0], x[0, 0] * [[1, 2, 1], [2, 4, 2], [1, 2, 1]]
    )
