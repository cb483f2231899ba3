import numpy as np
import pytest

from tinygrad_ckn.data import load_digits
from tinygrad_ckn.fingerprints import as_text, fingerprints_of, from_text


def test_equal_images_and_no_others_have_equal_fingerprints() -> None:
    images = load_digits().train.images
    different = {image.tobytes() for image in images}
    numbers = fingerprints_of(images)
    assert len(set(numbers.tolist())) == len(different)
    np.testing.assert_array_equal(fingerprints_of(images[::-1].copy()), numbers[::-1])
    changed = images.copy()
    changed[:, 0, 0, 0] += np.float32(1e-7)
    assert not np.isin(fingerprints_of(changed), numbers).any()


def test_fingerprints_survive_as_text() -> None:
    numbers = fingerprints_of(load_digits().test.images)
    assert numbers.min() >= 0
    text = as_text(numbers)
    assert len(text) == 8 * 360
    np.testing.assert_array_equal(from_text(text), numbers)
    assert len(from_text("")) == 0


@pytest.mark.parametrize("text", ["abc", "abcd", "????????", "abcdefgé"])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        from_text(text)
