import numpy as np
import pytest

from tinygrad_ckn import backend, block_sums


@pytest.mark.parametrize("device", ["cpu", "other"])
@pytest.mark.parametrize(("size", "largest"), [(1, 10), (4, 2), (100, 1)])
def test_map_blocks_covers_all_images_in_blocks_of_the_size(
    device: str, size: int, largest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block_sums, "_BLOCK_BYTES", 10)
    monkeypatch.setattr(block_sums, "_DEVICE_BYTES", 10)
    if device == "other":
        monkeypatch.setattr(
            block_sums,
            "CPU",
            backend.Backend("gpu", np, list, np.asarray, lambda: None, lambda: None),
        )
    x = np.random.default_rng(0).random((11, 2, 3), dtype="float32")
    seen = []

    def doubled(block: np.ndarray) -> np.ndarray:
        seen.append(len(block))
        return 2.0 * block[:, :1]

    y = block_sums.map_blocks(doubled, x, (11, 1, 3), size)
    assert y.dtype == x.dtype
    np.testing.assert_array_equal(y, 2 * x[:, :1])
    assert (max(seen), sum(seen)) == (largest, 11)


def test_map_blocks_of_nothing_is_empty() -> None:
    assert block_sums.map_blocks(lambda x: x, np.zeros((0, 2)), (0, 2), 1).shape == (0, 2)
