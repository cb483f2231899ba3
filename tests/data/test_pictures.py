"""One picture file of each kind, written by Pillow."""

import sys
import warnings

import numpy as np
import pytest
from PIL import Image

from tinygrad_ckn.data import pictures
from tinygrad_ckn.data.pictures import Decoding, Header, check_readable, is_opaque, is_picture
from tinygrad_ckn.errors import DataError, MissingPackageError

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (4, 5), dtype=np.uint8)
COLOURS = RNG.integers(0, 256, (4, 5, 3), dtype=np.uint8)


def read(path, kind, *, resize=None, crop=False):
    """Return pixels 0..255 or 0..65535 (C, H, W)."""
    header = pictures.read_header(path)
    size = resize or (header.height, header.width)
    decoding = Decoding(kind, size, resize is not None, crop, 1.0)
    out = np.empty(decoding.shape, np.float32)
    pictures.decode(path, decoding, out)
    return out


def saved(tmp_path, image, suffix=".png", **options):
    path = tmp_path / f"picture{suffix}"
    image.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".gif", ".tif", ".webp", ".pgm"])
def test_grey(tmp_path, suffix):
    options = {"lossless": True} if suffix == ".webp" else {}
    path = saved(tmp_path, Image.fromarray(BYTES), suffix, **options)
    # WEBP has colours only, and Pillow's GIF a palette of those that occur.
    kind = "RGB" if suffix in (".webp", ".gif") else "grey"
    assert pictures.read_header(path) == Header(kind, 4, 5)
    np.testing.assert_array_equal(read(path, kind)[0], BYTES)
    assert is_picture(path)
    assert is_opaque(path)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".webp", ".ppm"])
def test_rgb(tmp_path, suffix):
    options = {"lossless": True} if suffix == ".webp" else {}
    path = saved(tmp_path, Image.fromarray(COLOURS), suffix, **options)
    assert pictures.read_header(path) == Header("RGB", 4, 5)
    np.testing.assert_array_equal(read(path, "RGB"), COLOURS.transpose(2, 0, 1))
    luma = COLOURS.astype(float) @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(read(path, "grey")[0], luma, atol=0.51)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm"])
def test_sixteen_bits_keep_their_precision(tmp_path, suffix):
    pixels = np.array([[0, 1, 255, 256, 65535]], np.uint16)
    path = saved(tmp_path, Image.fromarray(pixels), suffix)
    assert pictures.read_header(path) == Header("16-bit grey", 1, 5)
    np.testing.assert_array_equal(read(path, "16-bit grey")[0], pixels)
    assert read(path, "16-bit grey", resize=(1, 1)).item() == pytest.approx(pixels.mean())
    with pytest.raises(DataError, match=r"expected a picture that is grey, got 16-bit grey"):
        read(path, "grey")


def test_one_bit_and_palettes(tmp_path):
    bits = BYTES > 127
    path = saved(tmp_path, Image.fromarray(bits))
    assert pictures.read_header(path).kind == "grey"
    np.testing.assert_array_equal(read(path, "grey")[0], bits * 255)
    palette = Image.fromarray(BYTES).convert("RGB").convert("P", palette=Image.Palette.ADAPTIVE)
    path = saved(tmp_path, palette)
    assert pictures.read_header(path).kind == "RGB"
    np.testing.assert_array_equal(read(path, "RGB"), [BYTES] * 3)
    np.testing.assert_array_equal(read(path, "grey")[0], BYTES)


def test_opacity(tmp_path):
    for mode, kind, plain in (("RGBA", "RGBA", "RGB"), ("LA", "grey with opacity", "grey")):
        image = Image.fromarray(COLOURS).convert(mode)
        path = saved(tmp_path, image)
        assert pictures.read_header(path).kind == kind
        assert is_opaque(path)
        np.testing.assert_array_equal(read(path, plain), read(path, kind)[:-1])
        image.putpixel((2, 1), (9,) * (len(mode) - 1) + (254,))
        path = saved(tmp_path, image)
        assert not is_opaque(path)
        assert read(path, kind)[-1, 1, 2] == 254
        with pytest.raises(DataError, match="without transparent pixels, got some; lay it on"):
            read(path, plain)


@pytest.mark.parametrize("mode", ["P", "RGB", "L"])
def test_a_transparent_colour(tmp_path, mode):
    image = Image.new("RGB", (2, 1), (255, 0, 0)).convert(mode)
    colour = image.getpixel((0, 0))
    path = saved(tmp_path, image, transparency=colour)
    kind = "grey with opacity" if mode == "L" else "RGBA"
    assert pictures.read_header(path).kind == kind
    assert not is_opaque(path)
    np.testing.assert_array_equal(read(path, kind)[-1], 0)


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "RGB", "L"])
def test_jpeg(tmp_path, mode):
    path = saved(tmp_path, Image.new("RGB", (16, 8), (200, 100, 50)).convert(mode), ".jpg")
    kind = "grey" if mode == "L" else "RGB"
    assert pictures.read_header(path) == Header(kind, 8, 16)
    expected = [124] if mode == "L" else [200, 100, 50]
    np.testing.assert_allclose(read(path, kind)[:, 4, 4], expected, atol=3)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_orientation_is_applied(tmp_path, suffix, orientation):
    """Turned as Exif 2.3 says: 3 by 180, 6 by 90 clockwise, 8 by 90 counter-clockwise."""
    pixels = np.zeros((8, 16, 3), np.uint8)
    pixels[:4, :8] = 240
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path, Image.fromarray(pixels), suffix, exif=exif)
    upright = np.rot90(pixels, {1: 0, 3: 2, 6: -1, 8: 1}[orientation])
    assert pictures.read_header(path) == Header("RGB", *upright.shape[:2])
    np.testing.assert_allclose(read(path, "RGB"), upright.transpose(2, 0, 1), atol=40)


def test_a_size_by_crop_and_means(tmp_path):
    path = saved(tmp_path, Image.fromarray(np.array([[0, 0, 10, 30, 0, 0]] * 2, np.uint8)))
    np.testing.assert_array_equal(read(path, "grey", resize=(1, 1), crop=True), [[[20]]])
    np.testing.assert_allclose(read(path, "grey", resize=(1, 1)), [[[40 / 6]]], rtol=1e-6)


def test_frames_are_refused(tmp_path):
    frames = [Image.new("L", (3, 3), value) for value in (0, 9, 200)]
    for suffix in (".gif", ".tif", ".png", ".webp"):
        path = saved(tmp_path, frames[0], suffix, save_all=True, append_images=frames[1:])
        with pytest.raises(DataError, match=r"expected a picture, got 3 frames; save one of them"):
            pictures.read_header(path)
    path = saved(tmp_path, frames[1], ".mpo", save_all=True, append_images=frames[1:])
    assert read(path, "grey").max() == pytest.approx(9, abs=1)


def test_decompression_bombs_are_refused_by_their_header(tmp_path, monkeypatch):
    path = saved(tmp_path, Image.new("L", (30, 10)))
    for limit in (299, 100):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with warnings.catch_warnings(), pytest.raises(DataError, match=f"at most {limit} pixels"):
            warnings.simplefilter("default")
            pictures.read_header(path)


def test_damaged_files_are_named(tmp_path):
    path = saved(tmp_path, Image.fromarray(RNG.integers(0, 256, (64, 64), dtype=np.uint8)))
    whole = path.read_bytes()
    path.write_bytes(whole[:2000])
    assert pictures.read_header(path) == Header("grey", 64, 64)
    for function in (check_readable, lambda path: read(path, "grey")):
        with pytest.raises(DataError, match=r"png: expected a whole picture, got a damaged one \("):
            function(path)
    for content in (b"", b"hello", whole[:20]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"damaged.*; repair or remove it"):
            pictures.read_header(path)
    assert not is_picture(saved_text(tmp_path))


def saved_text(tmp_path):
    path = tmp_path / "text"
    path.write_text("1,2,3\n")
    return path


def test_without_pillow(tmp_path, monkeypatch):
    path = saved(tmp_path, Image.fromarray(BYTES))
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingPackageError, match=r"picture.png: expected Pillow .*\[images\]"):
        pictures.read_header(path)


def test_kinds_without_one_reading_are_refused(tmp_path):
    for image in (Image.new("F", (2, 2)), Image.new("I", (2, 2), 70000), Image.new("LAB", (2, 2))):
        path = saved(tmp_path, image, ".tif")
        with pytest.raises(DataError, match=f"got Pillow's mode {image.mode}; convert it"):
            pictures.read_header(path)


def test_damaged_bytes_are_pictures_or_one_sentence(tmp_path):
    for suffix, image in ((".png", COLOURS), (".gif", BYTES), (".jpg", COLOURS), (".tif", BYTES)):
        content = saved(tmp_path, Image.fromarray(image), suffix).read_bytes()
        for seed in range(25):
            rng = np.random.default_rng(seed)
            damaged = bytearray(content)
            for place in rng.integers(0, len(damaged), 3):
                damaged[place] = rng.integers(256)
            path = tmp_path / f"damaged{suffix}"
            path.write_bytes(damaged)
            try:
                read(path, pictures.read_header(path).kind)
            except DataError as error:
                assert str(error).startswith(f"{path}: expected")
