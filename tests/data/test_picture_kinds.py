"""Mixed pictures: one sentence that counts them, or the one reading there is."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinygrad_ckn.data.picture_kinds import common_decoding, format_of
from tinygrad_ckn.data.pictures import Decoding, read_header
from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.data_format import DataFormat
from tinygrad_ckn.errors import DataError

MODES = {"L": 7, "RGB": (7, 7, 7), "RGBA": (7, 7, 7, 255), "LA": (7, 255), "I;16": 7}


def trained(channels, *, stored="integers", scale=255.0, **fields):
    """The format of a model trained on pictures of 2x3 pixels."""
    images = np.ones((1, channels, 2, 3), np.float32)
    config = DataFormat.of_arrays(images).config()
    return DataFormat.from_config({**config, "stored": stored, "scale": scale, **fields})


@pytest.fixture
def decoding(tmp_path: Path):
    """A function: how to decode pictures of some modes, each with an optional size."""

    def decoding(*modes, data_format=None, **options):
        paths = []
        for i, mode in enumerate(modes):
            name, *sizes = mode.split()
            height, width = map(int, sizes) if sizes else (2, 3)
            clear = name.startswith("clear")
            name = name.removeprefix("clear")
            value = (*MODES[name][:-1], 254) if clear else MODES[name]
            Image.new(name, (width, height), value).save(tmp_path / f"{i}.png")
            paths.append(tmp_path / f"{i}.png")
        reading = Reading.of(data_format=data_format, **options)
        return common_decoding(paths, [read_header(path) for path in paths], "dir", reading)

    return decoding


@pytest.mark.parametrize(
    ("modes", "options", "kind"),
    [
        ("L,L", {}, "grey"),
        ("RGB,RGB", {}, "RGB"),
        ("I;16", {}, "16-bit grey"),
        ("L,RGB", {"grey": True}, "grey"),
        ("L,RGB", {"rgb": True}, "RGB"),
        ("I;16", {"grey": True}, "16-bit grey"),
        # opacity that is full says nothing
        ("RGBA,RGB", {}, "RGB"),
        ("RGBA,RGBA", {}, "RGB"),
        ("LA,L,RGBA", {"grey": True}, "grey"),
        ("RGBA", {"image_shape": (4, 2, 3)}, "RGBA"),
        # all have it, and some are transparent
        ("clearRGBA,RGBA", {}, "RGBA"),
        ("LA,clearLA", {}, "grey with opacity"),
    ],
)
def test_kinds_with_one_reading(decoding, modes, options, kind):
    assert decoding(*modes.split(","), **options) == Decoding(
        kind, (2, 3), False, False, 65535.0 if kind == "16-bit grey" else 255.0
    )


@pytest.mark.parametrize(
    ("modes", "options", "message"),
    [
        (
            "L,L,RGB",
            {},
            r"one kind, got 2 grey and 1 RGB, the first RGB one .*2.png; pass argument",
        ),
        ("L,I;16", {}, "got 1 grey and 1 16-bit grey, .*; store all with 8 bits, or all with 16"),
        ("L 4 4,L,L", {}, r"one size, got 2 of 2x3 and 1 of 4x4 \(height x width\); pass a height"),
        ("L 4 4,RGB", {}, "one kind and one size, .*; pass argument grey or argument rgb and pass"),
        ("L,L 1 1,L 1 2,L 1 3,L 1 4", {}, "1 of 1x2 and 2 of 2 other sizes"),
        ("RGB,clearRGBA", {}, r"without transparent pixels, got 1 RGB and 1 RGBA, 1 of them"),
        ("clearRGBA", {"grey": True}, "lay them on a background first"),
        ("clearRGBA,clearLA", {}, "2 of them with transparent pixels, the first .*0.png"),
        (
            "L",
            {"image_shape": (3, 2, 3)},
            r"3 channels as image_shape says, got grey \(1 channel\)",
        ),
        ("L", {"image_shape": (5, 5)}, "pictures of 5x5 as image_shape says, got 2x3"),
    ],
)
def test_mixed_pictures_are_counted(decoding, modes, options, message):
    with pytest.raises(DataError, match=f"^dir: expected .*{message}"):
        decoding(*modes.split(","), **options)


def test_pictures_are_read_as_those_of_the_training(decoding):
    for mode, fields, expected in (
        ("RGB", {"grey": True}, Decoding("grey", (2, 3), False, False, 255.0)),
        ("L 9 9", {"resize": (2, 3)}, Decoding("grey", (2, 3), True, False, 255.0)),
        ("L 9 9", {"resize": (2, 3), "crop": True}, Decoding("grey", (2, 3), True, True, 255.0)),
        ("L", {"scale": 16.0}, Decoding("grey", (2, 3), False, False, 255.0)),
        ("L", {"scale": 1.0, "stored": "floats"}, Decoding("grey", (2, 3), False, False, 255.0)),
    ):
        data_format = trained(1, **fields)
        assert decoding(mode, data_format=data_format) == expected
        images = np.ones((1, 1, 2, 3), np.float32)
        again = format_of(expected, DataFormat.of_arrays(images), Reading(like=data_format))
        for name in ("resize", "crop", "grey", "rgb"):
            assert getattr(again, name) == getattr(data_format, name)
    assert decoding("L", data_format=trained(3, rgb=True)).kind == "RGB"
    assert decoding("RGBA", data_format=trained(4)).kind == "RGBA"


@pytest.mark.parametrize(
    ("mode", "channels", "fields", "message"),
    [
        ("RGB", 1, {}, r"1 channel as the model was trained on, got RGB .*; pass argument grey"),
        ("L", 3, {}, "3 channels as the model was trained on, got grey .*; pass argument rgb"),
        (
            "L 9 9",
            1,
            {},
            r"2x3 as the model was trained on, got 9x9 .*; pass the size as argument r",
        ),
        (
            "I;16",
            1,
            {},
            "divided by 255 .*, got pixels of 0 to 65535; pass their divisor as argume",
        ),
        ("clearRGBA", 3, {}, "pictures without transparent pixels, got 1 RGBA"),
        ("L", 1, {"scale": 65535.0}, "divided by 65535 and are 1 to 1, got pixels of 0 to 255"),
    ],
)
def test_pictures_unlike_those_of_the_training(decoding, mode, channels, fields, message):
    with pytest.raises(DataError, match=f"^dir: expected .*{message}"):
        decoding(mode, data_format=trained(channels, **fields))
