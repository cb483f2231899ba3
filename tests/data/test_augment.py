import itertools

import numpy as np
import pytest
from scipy.stats import chisquare

from tinygrad_ckn.data import AUGMENTATIONS, crop_flip
from tinygrad_ckn.errors import ConfigError, ShapeError


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def possible(image: np.ndarray, padding: int) -> dict[bytes, tuple[int, int, bool]]:
    """Return every crop of the padded image, mirrored or not, by its bytes."""
    _, height, width = image.shape
    found = {}
    for mirror in (False, True):
        padded = np.pad(
            image[:, :, ::-1] if mirror else image, [(0, 0), (padding, padding), (padding, padding)]
        )
        for i, j in itertools.product(range(2 * padding + 1), repeat=2):
            found[padded[:, i : i + height, j : j + width].tobytes()] = (i, j, mirror)
    return found


@pytest.mark.parametrize("shape", [(3, 6, 5), (1, 4, 7)])
@pytest.mark.parametrize("padding", [0, 1, 3])
def test_each_crop_of_the_padded_image_or_its_mirror_is_drawn_equally_often(
    shape, padding: int
) -> None:
    image = 1.0 + np.arange(np.prod(shape), dtype="float32").reshape(shape)
    names = possible(image, padding)
    assert len(names) == 2 * (2 * padding + 1) ** 2
    n = 100 * len(names)
    counts = dict.fromkeys(names, 0)
    for shown in crop_flip(np.repeat(image[None], n, axis=0), rng(), padding=padding):
        counts[shown.tobytes()] += 1
    assert chisquare(list(counts.values())).pvalue > 0.01


def test_each_image_is_augmented_independently_and_not_in_place() -> None:
    images = rng(1).normal(size=(20, 3, 8, 8)).astype("float32")
    before = images.copy()
    shown = crop_flip(images, rng())
    np.testing.assert_array_equal(images, before)
    assert (shown.dtype, shown.shape) == (images.dtype, images.shape)
    changes = {possible(image, 4)[new.tobytes()] for image, new in zip(images, shown, strict=True)}
    assert len(changes) > 15


def test_a_seed_fixes_the_augmentation_and_a_generator_continues() -> None:
    images = rng(1).normal(size=(20, 3, 8, 8))
    one, same, other = (crop_flip(images, rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    random = rng(3)
    np.testing.assert_array_equal(crop_flip(images, random), one)
    assert not np.array_equal(crop_flip(images, random), one)


def test_no_images_and_images_not_in_order_are_taken() -> None:
    assert crop_flip(np.ones((0, 3, 8, 8)), rng()).shape == (0, 3, 8, 8)
    images = rng(1).normal(size=(5, 8, 8, 3))
    reversed_ = images.transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(crop_flip(reversed_, rng()), crop_flip(reversed_.copy(), rng()))


@pytest.mark.parametrize("padding", [-1, 5, 2.0, None])
def test_a_padding_out_of_range_is_refused(padding: object) -> None:
    with pytest.raises(
        ConfigError, match=rf"^crop_flip: argument padding expected .* from 0 to 4, got {padding}$"
    ):
        crop_flip(np.ones((2, 1, 5, 6)), rng(), padding=padding)


def test_images_of_another_rank_are_refused() -> None:
    with pytest.raises(
        ShapeError,
        match=r"^crop_flip: argument images expected shape \(n, C, H, W\), got \(2, 5, 6\)",
    ):
        crop_flip(np.ones((2, 5, 6)), rng())


def test_the_table_of_names_leads_to_functions() -> None:
    assert AUGMENTATIONS == {"crop-flip": crop_flip}
