import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_ckn.cpu.ckn_map.banded import bands, box, from_left, from_right


@given(
    rows=st.integers(1, 100),
    columns=st.integers(1, 100),
    width=st.integers(0, 7),
    n=st.integers(0, 4),
)
def test_products_equal_those_of_the_dense_matrix(rows, columns, width, n):
    random = np.random.default_rng(0)
    matrix = random.standard_normal((rows, columns))
    centres = np.arange(rows)[:, None] * columns / rows
    matrix[abs(np.arange(columns) - centres) > width] = 0
    x, y = random.standard_normal((2, columns, n)), random.standard_normal((2, n, columns))
    left, right = np.full((2, rows, n), np.nan), np.full((2, n, rows), np.nan)
    np.testing.assert_allclose(from_left(bands(matrix), x, left), matrix @ x, atol=1e-12)
    np.testing.assert_allclose(from_right(y, bands(matrix), right), y @ matrix.T, atol=1e-12)


def test_a_zero_matrix_gives_zeros():
    assert not from_left(bands(np.zeros((40, 3))), np.ones((3, 2)), np.full((40, 2), np.nan)).any()


def test_a_block_is_only_as_wide_as_its_band():
    blocks = bands(box(1000, 3, 1002, "float32"))
    assert all(
        block.shape == (rows.stop - rows.start, rows.stop - rows.start + 2)
        for rows, _, block in blocks
    )


def test_box_sums_windows():
    np.testing.assert_array_equal(box(3, 2, 4, "float64") @ [1, 10, 100, 1000], [11, 110, 1100])
