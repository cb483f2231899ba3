"""One picture file, its header and its pixels, by Pillow.

A picture has a kind: grey of 8 or 16 bits or RGB, with or without opacity. Pictures of
1 bit are grey with pixels 0 and 255; pictures with a palette, CMYK and YCbCr are RGB,
of 8 bits, as Pillow reads colour. Orientation in EXIF is applied. Files with several
frames are refused, except the MPO files of cameras, whose first frame is the picture.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.data.reading import Size
from tinygrad_ckn.data.resizing import centre_crop, resized
from tinygrad_ckn.errors import DataError, MissingPackageError, how_to_install

if TYPE_CHECKING:
    from PIL.Image import Image

Kind: TypeAlias = Literal["grey", "16-bit grey", "grey with opacity", "RGB", "RGBA"]
SUFFIXES = frozenset(
    ".png .jpg .jpeg .jpe .jfif .bmp .dib .gif .tif .tiff .webp .pbm .pgm .ppm .pnm".split()
)
CHANNELS: dict[Kind, int] = {
    "grey": 1,
    "16-bit grey": 1,
    "grey with opacity": 2,
    "RGB": 3,
    "RGBA": 4,
}
WITHOUT_OPACITY: dict[Kind, Kind] = {"grey with opacity": "grey", "RGBA": "RGB"}
_FORMATS = ("PNG", "JPEG", "BMP", "DIB", "GIF", "TIFF", "WEBP", "PPM")
# Kinds of Pillow's modes, without and with a colour or an index that is transparent.
_KINDS: dict[str, tuple[Kind, Kind | None]] = {
    "1": ("grey", "grey with opacity"),
    "L": ("grey", "grey with opacity"),
    "LA": ("grey with opacity", None),
    "La": ("grey with opacity", None),
    "I;16": ("16-bit grey", None),
    "I;16L": ("16-bit grey", None),
    "I;16B": ("16-bit grey", None),
    "I": ("16-bit grey", None),
    "P": ("RGB", "RGBA"),
    "PA": ("RGBA", None),
    "RGB": ("RGB", "RGBA"),
    "RGBA": ("RGBA", None),
    "RGBa": ("RGBA", None),
    "CMYK": ("RGB", None),
    "YCbCr": ("RGB", None),
}
_MODES: dict[Kind, str] = {"grey": "L", "grey with opacity": "LA", "RGB": "RGB", "RGBA": "RGBA"}
_ORIENTATION = 0x0112
# Where a PNG file can have an orientation before its pixels.
_EXIF = frozenset(["exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp"])
# First bytes of the formats; a WEBP file begins with RIFF, its size, WEBP.
_STARTS = (
    *(b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*"),
    *(f"P{i}{end}".encode() for i in range(1, 7) for end in " \t\r\n"),
)


class Header(NamedTuple):
    """Kind and size of a picture, upright."""

    kind: Kind
    height: int
    width: int


class Decoding(NamedTuple):
    """How the pixels of a picture become an image.

    Parameters
    ----------
    kind : str
        The kind to convert to.
    size : tuple[int, int]
        (H, W) of the image.
    resize, crop : bool
        Whether to bring pictures to that size, cropped to its aspect ratio first;
        otherwise they must have it.
    divisor : float
        Of the pixels, 0..255 or 0..65535.
    """

    kind: Kind
    size: Size
    resize: bool
    crop: bool
    divisor: float

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return CHANNELS[self.kind], *self.size


def top_of(kind: Kind) -> int:
    """Return the largest value of a pixel: 255, or 65535 for 16 bits."""
    return 65535 if kind == "16-bit grey" else 255


def is_picture(path: Path) -> bool:
    """Return whether a file begins as a picture does, whatever its name."""
    with path.open("rb") as stream:
        start = stream.read(12)
    return start.startswith(_STARTS) or (start[:4], start[8:]) == (b"RIFF", b"WEBP")


def read_header(path: Path) -> Header:
    """Return the kind and the size of a picture, without decoding it.

    Raises
    ------
    DataError
        If it is no picture, damaged, of a kind that is not supported, or has several
        frames or more pixels than Pillow allows.
    MissingPackageError
        If Pillow is not installed.
    """
    # Filters of warnings are those of all threads; headers are read by one.
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Image size")
        with _opened(path) as image:
            return _header_of(image, path)


def decode(path: Path, decoding: Decoding, out: NDArray[np.float32]) -> None:
    """Decode a picture into an array (C, H, W).

    Raises
    ------
    DataError
        As `read_header`; for pixels that cannot be decoded, for another size than that
        of the decoding, and for transparent pixels if its kind has no opacity.
    """
    with _opened(path) as image:
        # (h, w) or (h, w, C)
        pixels = _pixels(image, decoding.kind, path)
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    if decoding.resize:
        if decoding.crop:
            pixels = centre_crop(pixels, decoding.size)
        if pixels.shape[:2] != decoding.size:
            pixels = resized(pixels, decoding.size, top_of(decoding.kind))
    if pixels.shape[:2] != decoding.size:
        raise DataError(
            f"{path}: expected a picture of {decoding.size[0]}x{decoding.size[1]}, as its header "
            f"says, got {pixels.shape[0]}x{pixels.shape[1]}; save it upright"
        )
    np.divide(pixels.transpose(2, 0, 1), np.float32(decoding.divisor), out=out)


def is_opaque(path: Path) -> bool:
    """Return whether a picture has no transparent pixel."""
    with _opened(path) as image:
        kind = _kind_of(image, path)
        return kind not in WITHOUT_OPACITY or _is_opaque(image.convert(_MODES[kind]))


def check_readable(path: Path) -> None:
    """Raise a DataError unless all of a picture can be decoded."""
    with _opened(path) as image:
        _kind_of(image, path)
        image.load()


@contextmanager
def _opened(path: Path) -> Iterator[Image]:
    """Open a picture; what Pillow raises becomes one sentence."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise MissingPackageError(
            f"{path}: expected Pillow to read pictures, which is not installed; "
            f"{how_to_install('images')}"
        ) from error

    try:
        with Image.open(path, formats=_FORMATS) as image:
            if image.format != "MPO" and getattr(image, "is_animated", False):
                raise DataError(
                    f"{path}: expected a picture, got {getattr(image, 'n_frames', 2)} frames; save "
                    "one of them as a picture"
                )
            yield image
    except (DataError, MemoryError):
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError(
            f"{path}: expected at most {Image.MAX_IMAGE_PIXELS:,} pixels, got more, which may be a "
            "decompression bomb; raise PIL.Image.MAX_IMAGE_PIXELS in Python if it is a picture"
        ) from error
    except UnidentifiedImageError as error:
        raise DataError(
            f"{path}: expected a picture ({', '.join(_FORMATS)}), got a file of another kind or a "
            f"damaged one; {_LEAVE_OUT}"
        ) from error
    except Exception as error:
        # Errors of the system have a number; Pillow's are of any class.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DataError(
            f"{path}: expected a whole picture, got a damaged one ({str(error)[:100]}); "
            f"{_LEAVE_OUT}"
        ) from error


_LEAVE_OUT = "repair or remove it, or pass argument skip_broken to leave such files out"


def _header_of(image: Image, path: Path) -> Header:
    """Return the header of an open picture."""
    kind = _kind_of(image, path)
    orientation = _orientation_of(image)
    if orientation >= 5 and image.format == "TIFF":
        # Pillow turns TIFF files itself.
        image.load()
        orientation = 1
    width, height = image.size if orientation < 5 else image.size[::-1]
    return Header(kind, height, width)


def _kind_of(image: Image, path: Path) -> Kind:
    """Return the kind of an open picture."""
    kinds = _KINDS.get(image.mode)
    transparent = "transparency" in image.info
    kind = None if kinds is None else kinds[transparent and image.mode in ("1", "L", "P", "RGB")]
    has_32_bits = image.mode == "I" and image.format not in ("PNG", "PPM")
    if kind is None or has_32_bits or (transparent and kind == "16-bit grey"):
        what = " with a transparent value" if transparent else ""
        raise DataError(
            f"{path}: expected a picture that is {', '.join(get_args(Kind)[:-1])} or RGBA, got "
            f"Pillow's mode {image.mode}{what}; convert it, or store arrays as .npy"
        )
    return kind


def _orientation_of(image: Image) -> int:
    """Return the orientation of an open picture, 1 .. 8, without decoding it."""
    # Pillow decodes a PNG file to find an orientation behind its pixels.
    if image.format == "PNG" and not _EXIF & image.info.keys():
        return 1
    value = image.getexif().get(_ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _pixels(image: Image, kind: Kind, path: Path) -> NDArray[Any]:
    """Return the pixels of an open picture as one of a kind, (h, w) or (h, w, C)."""
    from PIL import ImageOps

    given = _kind_of(image, path)
    ImageOps.exif_transpose(image, in_place=True)
    if kind == "16-bit grey" or given == "16-bit grey":
        if kind != given:
            raise DataError(f"{path}: expected a picture that is {kind}, got {given}; convert it")
        return np.asarray(image)
    if given in WITHOUT_OPACITY:
        image = image.convert(_MODES[given])
        if kind not in WITHOUT_OPACITY and not _is_opaque(image):
            raise DataError(
                f"{path}: expected a picture without transparent pixels, got some; lay it on a "
                "background first"
            )
    return np.asarray(image.convert(_MODES[kind]))


def _is_opaque(image: Image) -> bool:
    """Return whether the opacity of a picture with mode LA or RGBA is 255 everywhere."""
    return image.getchannel("A").getextrema() == (255, 255)
