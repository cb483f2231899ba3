"""The kind and the size that the pictures of a data set have in common.

Nothing is converted unless the user says so, or the training said so: grey and RGB
pictures together are refused. One exception: opacity that is full everywhere means
nothing, and is left out, unless all pictures of the data set have opacity and some are
transparent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tinygrad_ckn.data.pictures import (
    CHANNELS,
    WITHOUT_OPACITY,
    Decoding,
    Header,
    Kind,
    is_opaque,
    top_of,
)
from tinygrad_ckn.data.reading import Reading, Size
from tinygrad_ckn.data_format import DataFormat
from tinygrad_ckn.errors import DataError

# Number of sizes that a message counts.
_SHOWN = 3


def common_decoding(
    paths: Sequence[Path], headers: Sequence[Header], source: str, reading: Reading
) -> Decoding:
    """Return how to decode all pictures of a data set to images of one shape and scale.

    Parameters
    ----------
    paths, headers
        Of the pictures, at least one.
    source : str
        Name of the data set in error messages.
    reading : Reading
        What the user says, and how the training images were read.

    Raises
    ------
    DataError
        For pictures of several kinds or sizes, which it counts, and for others than the
        model was trained on.
    """
    reading = _as_trained(reading)
    visible = _without_full_opacity(paths, headers, source, reading)
    kinds: list[Kind] = [_converted(kind, reading) for kind in visible]
    sizes = [(header.height, header.width) for header in headers]
    _check_mix(paths, kinds, sizes, source, reading)
    kind, size = kinds[0], reading.resize or sizes[0]
    _check_expected(kind, size, paths[0], source, reading)
    return Decoding(
        kind, size, reading.resize is not None, bool(reading.crop), _divisor(kind, source, reading)
    )


def format_of(decoding: Decoding, data_format: DataFormat, reading: Reading) -> DataFormat:
    """Return the format of images (n, C, H, W) with how their pictures were decoded."""
    reading = _as_trained(reading)
    return replace(
        data_format,
        scale=decoding.divisor,
        stored="integers",
        resize=decoding.size if decoding.resize else None,
        crop=decoding.crop,
        grey=bool(reading.grey),
        rgb=bool(reading.rgb),
    )


def _as_trained(reading: Reading) -> Reading:
    """Return a reading whose options not given are those of the training images."""
    like = reading.like
    if like is None:
        return reading
    grey, rgb = reading.grey, reading.rgb
    if grey is None and not rgb:
        grey = like.grey
    if rgb is None and not grey:
        rgb = like.rgb
    return replace(
        reading,
        resize=reading.resize or like.resize,
        crop=like.crop if reading.crop is None else reading.crop,
        grey=grey,
        rgb=rgb,
    )


def _without_full_opacity(
    paths: Sequence[Path], headers: Sequence[Header], source: str, reading: Reading
) -> list[Kind]:
    """Return the kinds of pictures, without opacity where none is transparent.

    Pictures that all have opacity keep it if one is transparent, or if the images must
    have 2 or 4 channels.
    """
    kinds: list[Kind] = [header.kind for header in headers]
    with_opacity = [i for i, kind in enumerate(kinds) if kind in WITHOUT_OPACITY]
    expected = reading.expected_shape
    keeps = expected is not None and expected[0] in (2, 4)
    alike = len(set(kinds)) == 1 and not reading.grey and not reading.rgb
    if not with_opacity or (keeps and alike):
        return kinds
    transparent = [i for i in with_opacity if not is_opaque(paths[i])]
    if not transparent:
        return [WITHOUT_OPACITY.get(kind, kind) for kind in kinds]
    if alike and expected is None:
        return kinds
    raise DataError(
        f"{source}: expected pictures without transparent pixels, got "
        f"{_counted(kinds)}, {len(transparent):,} of them with transparent pixels, the first "
        f"{paths[transparent[0]]}; lay them on a background first"
    )


def _converted(kind: Kind, reading: Reading) -> Kind:
    """Return the kind of a picture after the conversion that the user asks for."""
    if reading.grey and kind == "RGB":
        return "grey"
    if reading.rgb and kind == "grey":
        return "RGB"
    return kind


def _check_mix(
    paths: Sequence[Path],
    kinds: Sequence[Kind],
    sizes: Sequence[Size],
    source: str,
    reading: Reading,
) -> None:
    """Raise a DataError that counts what there is, unless kinds and sizes are one each."""
    expected, got, hints = [], [], []
    if len(set(kinds)) > 1:
        rarest = Counter(kinds).most_common()[-1][0]
        first = paths[kinds.index(rarest)]
        expected.append("kind")
        got.append(f"{_counted(kinds)}, the first {rarest} one {first}")
        hints.append(
            "store all with 8 bits, or all with 16"
            if "16-bit grey" in kinds
            else "pass argument grey or argument rgb"
        )
    if len(set(sizes)) > 1 and reading.resize is None:
        expected.append("size")
        got.append(
            _counted([f"of {height}x{width}" for height, width in sizes]) + " (height x width)"
        )
        hints.append("pass a height and a width as argument resize")
    if expected:
        raise DataError(
            f"{source}: expected pictures of one {' and one '.join(expected)}, got "
            f"{'; '.join(got)}; {' and '.join(hints)}"
        )


def _check_expected(kind: Kind, size: Size, first: Path, source: str, reading: Reading) -> None:
    """Raise a DataError for pictures with other channels or sizes than expected."""
    expected = reading.expected_shape
    if expected is None:
        return
    if CHANNELS[kind] != expected[0]:
        whose = "as image_shape says" if reading.image_shape else "as the model was trained on"
        hint = {(3, 1): "pass argument grey", (1, 3): "pass argument rgb"}.get(
            (CHANNELS[kind], expected[0]), "convert them"
        )
        raise DataError(
            f"{source}: expected pictures of {_channels(expected[0])} {whose}, got {kind} "
            f"({_channels(CHANNELS[kind])}), the first {first}; {hint}"
        )
    if size != expected[1:] and reading.resize is None:
        raise DataError(
            f"{source}: expected pictures of {expected[1]}x{expected[2]} "
            f"{'as image_shape says' if reading.image_shape else 'as the model was trained on'}, "
            f"got {size[0]}x{size[1]} (height x width), the first {first}; pass the size as "
            "argument resize"
        )
    reading.check_shape((CHANNELS[kind], *size), source)


def _divisor(kind: Kind, source: str, reading: Reading) -> float:
    """Return the divisor of pixels: given, that of the training, or the largest value.

    Training images in [0, 1] that were no bytes had another largest value, by which
    they were divided, before or after they were stored.
    """
    top = top_of(kind)
    like = reading.like
    if reading.scale is not None:
        return reading.scale
    if like is None:
        return float(top)
    depth_is_known = like.stored == "integers" and like.scale in (255.0, 65535.0)
    if like.scale == top if depth_is_known else 0 <= like.pixels.low <= like.pixels.high <= 1:
        return float(top)
    if like.stored == "integers" and not depth_is_known:
        return like.scale
    raise DataError(
        f"{source}: expected pixels as those the model was trained on, which were divided by "
        f"{like.scale:g} and are {like.pixels.low:g} to {like.pixels.high:g}, got pixels of 0 to "
        f"{top}; pass their divisor as argument scale"
    )


def _channels(count: int) -> str:
    """Return a number of channels as text."""
    return "1 channel" if count == 1 else f"{count} channels"


def _counted(values: Sequence[str]) -> str:
    """Return the most common values with their counts, as in "1,790 grey and 7 RGB"."""
    counts = Counter(values).most_common()
    shown = [f"{count:,} {value}" for value, count in counts[:_SHOWN]]
    rest = counts[_SHOWN:]
    if rest:
        shown.append(f"{sum(count for _, count in rest):,} of {len(rest):,} other sizes")
    return ", ".join(shown[:-1]) + " and " + shown[-1] if len(shown) > 1 else shown[0]
