"""unfold and fold: the interpreted kernels against NumPy."""

import numpy as np
import pytest
from hypothesis import given

from tinygrad_ckn import ops
from tools.gpu_emulator.kernel_testing import (
    agree,
    dtypes,
    examples,
    geometries,
    launched_often,
    normal,
    on_gpu,
    seeds,
)

pytestmark = pytest.mark.usefixtures("compiler", "standin")


@pytest.mark.untraced
def test_unfold():
    @examples
    @given(geometries(), dtypes, seeds)
    def run(geometry, dtype, seed):
        (x,) = normal(seed, (geometry.n, geometry.c, *geometry.size), dtype=dtype)
        expected = geometry.windows(x).transpose(0, 1, 4, 5, 2, 3)
        got = on_gpu(ops.unfold, x, geometry.kernel, dtype=dtype, **geometry.options)
        rows = geometry.c * geometry.kernel[0] * geometry.kernel[1]
        assert np.array_equal(
            got, expected.reshape(geometry.n, rows, geometry.out[0] * geometry.out[1])
        )

    run()
    launched_often("unfold")


@pytest.mark.untraced
def test_fold():
    @examples
    @given(geometries(), dtypes, seeds)
    def run(geometry, dtype, seed):
        n, c, (h, w), (kh, kw), (ho, wo) = (
            geometry.n,
            geometry.c,
            geometry.size,
            geometry.kernel,
            geometry.out,
        )
        (columns,) = normal(seed, (n, c * kh * kw, ho * wo), dtype=dtype)
        # positions of pixels; 0 is the padding
        numbers = np.arange(1, n * c * h * w + 1).reshape(n, c, h, w)
        places = geometry.windows(numbers).transpose(0, 1, 4, 5, 2, 3).ravel()
        sums = np.bincount(places, columns.ravel(), minlength=numbers.size + 1)[1:]
        got = on_gpu(ops.fold, columns, (h, w), (kh, kw), dtype=dtype, **geometry.options)
        agree(got, sums.reshape(n, c, h, w))

    run()
    launched_often("fold")
