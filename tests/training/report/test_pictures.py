import base64
import io
import sys

import numpy as np
import pytest
from PIL import Image

from tinygrad_ckn.errors import MissingPackageError
from tinygrad_ckn.training.report.pictures import png_address


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_are_kept(channels: int):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, channels), dtype=np.uint8)
    address = png_address(pixels)
    picture = Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))
    np.testing.assert_array_equal(np.asarray(picture).reshape(pixels.shape), pixels)


def test_without_pillow_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingPackageError, match=r"report: expected Pillow.*\[report\]"):
        png_address(np.zeros((2, 2, 1), np.uint8))
