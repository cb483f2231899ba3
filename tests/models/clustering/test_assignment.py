import numpy as np
import pytest

from tinygrad_ckn.errors import CKNError, DataError, DTypeError, ShapeError
from tinygrad_ckn.models.clustering import assignment as directions
from tinygrad_ckn.models.clustering.spherical_kmeans import spherical_kmeans


@pytest.mark.parametrize("tiled", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_scales_give_rows_norm_1_and_zero_rows_none(
    monkeypatch: pytest.MonkeyPatch, tiled: bool, dtype: str
) -> None:
    monkeypatch.setattr(directions, "_has_cpu_kernel", lambda x: tiled)
    x = np.array([[3.0, 4.0], [0.0, 0.0], [0.0, -0.5]], dtype)
    scales, count = directions.row_scales(x)
    np.testing.assert_array_equal(scales, np.array([0.2, 0.0, 2.0], dtype))
    assert scales.dtype == dtype
    assert count == 2


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (
            np.ones((4, 2), int),
            DTypeError,
            r"a floating dtype, got int64; use .astype\('float32'\)",
        ),
        (np.ones((4, 2), bool), DTypeError, "a floating dtype, got bool"),
        (np.ones(4), ShapeError, r"shape \(n, d\), got \(4,\); pass each point as a row"),
        (np.ones((4, 2, 3, 3)), ShapeError, r"shape \(n, d\), got \(4, 2, 3, 3\)"),
        (np.array([[1.0, np.nan], [1.0, 2.0]]), DataError, "finite numbers, got NaN or infinity"),
    ],
)
@pytest.mark.parametrize("batch_size", [None, 2])
def test_points_that_are_none_are_refused(
    x: np.ndarray, error: type[CKNError], message: str, batch_size: int | None
) -> None:
    with pytest.raises(error, match=f"^spherical_kmeans: argument x expected {message}"):
        spherical_kmeans(x, 1, batch_size=batch_size)
