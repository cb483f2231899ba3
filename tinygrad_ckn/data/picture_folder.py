"""Pictures of files as images: all at once, or the ones that are asked for."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.chunks import slices
from tinygrad_ckn.data.dataset import Split
from tinygrad_ckn.data.files import existing_file
from tinygrad_ckn.data.parts import Parts
from tinygrad_ckn.data.picture_groups import groups_of
from tinygrad_ckn.data.picture_kinds import common_decoding, format_of
from tinygrad_ckn.data.picture_paths import (
    ClassPictures,
    class_labels,
    find_classes,
    find_pictures,
)
from tinygrad_ckn.data.pictures import (
    SUFFIXES,
    Decoding,
    check_readable,
    decode,
    is_picture,
    read_header,
)
from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.data.refused_options import OF_PICTURES, refuse_options
from tinygrad_ckn.data_format import DataFormat, warn_of_two_scales
from tinygrad_ckn.errors import DataError, DataWarning
from tinygrad_ckn.labels import Label
from tinygrad_ckn.lazy_images import LazyImages
from tinygrad_ckn.parallel import for_each

# Number of pictures that a thread decodes at a time.
_PIECE = 16
# Number of broken files that a warning names.
_NAMED = 5


class PictureFiles:
    """Pictures of files as images of one shape, decoded when they are read.

    Parameters
    ----------
    paths : sequence of Path
        The n pictures.
    decoding : Decoding
        From `common_decoding`.
    labels : NDArray, optional
        The label of each, (n,).

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("L", (3, 2), 51).save(f"{folder}/a.png")
    ...     files = PictureFiles.of([Path(folder, "a.png")], "pictures", Reading())
    ...     files.shape, files.read([0])[0, 0, 0, 0].item()
    ((1, 1, 2, 3), 0.20000000298023224)
    """

    def __init__(
        self, paths: Sequence[Path], decoding: Decoding, labels: NDArray[Any] | None = None
    ) -> None:
        self.paths = tuple(paths)
        self.decoding = decoding
        self.labels = labels

    @classmethod
    def of(cls, paths: Sequence[Path], source: str, reading: Reading) -> PictureFiles:
        """Return pictures without labels, whose headers are read to find their shape.

        Raises
        ------
        DataError
            For pictures that cannot be read, and for mixed kinds or sizes.
        """
        paths = _readable(paths, source, reading)
        headers = [read_header(path) for path in paths]
        return cls(paths, common_decoding(paths, headers, source, reading))

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32."""
        return np.dtype(np.float32)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(n, C, H, W)."""
        return len(self), *self.decoding.shape

    def read(self, indices: Sequence[int] | NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Return the images at some indices, (len(indices), C, H, W), in their order.

        Raises
        ------
        DataError
            For a picture that is broken, or was replaced by one of another size.
        """
        images = np.empty((len(indices), *self.decoding.shape), dtype=np.float32)

        def fill(piece: slice) -> None:
            for i in range(piece.start, piece.stop):
                decode(self.paths[int(indices[i])], self.decoding, images[i])

        for_each(fill, list(slices(len(indices), _PIECE)))
        return images

    def images(self, reading: Reading) -> NDArray[np.float32]:
        """Return all images, (n, C, H, W); if they take too much memory, as LazyImages.

        To type checkers they are an array.
        """
        if not reading.is_large(self.shape):
            return self.read(range(len(self)))
        lazy: Any = LazyImages(self, reading.memory_limit)
        return lazy


def holds_pictures(path: Path) -> bool:
    """Return whether a path is to be read as pictures: a folder, or a file of a picture.

    Files are told by their suffix, those without a suffix known here by their content.
    """
    suffix = path.suffix.lower()
    if path.is_dir() or suffix in SUFFIXES:
        return True
    return suffix not in (".npz", ".npy", ".csv") and path.is_file() and is_picture(path)


def open_pictures(paths: Sequence[Path], reading: Reading) -> PictureFiles:
    """Return pictures without labels: files, and those of folders in natural order.

    Raises
    ------
    DataError
        As `find_pictures` and `PictureFiles.of`.
    """
    source = str(paths[0]) if len(paths) == 1 else f"{paths[0]} .. {paths[-1]}"
    refuse_options(source, reading, OF_PICTURES)
    files: list[Path] = []
    for path in paths:
        files += find_pictures(path) if path.is_dir() else [existing_file(path, "a picture")]
    return PictureFiles.of(files, source, reading)


def read_pictures(path: Path, reading: Reading) -> NDArray[np.float32]:
    """Return the images (n, C, H, W) of a picture, or of a folder in natural order.

    Raises
    ------
    DataError
        As `open_pictures`; for pixels on another scale than those of the training.
    """
    images = open_pictures([path], reading).images(reading)
    check_scale(images, str(path), reading)
    return images


class LabelledPictures(NamedTuple):
    """The parts of a data set in a folder; the label of each class, by its name."""

    train: PictureFiles
    validation: PictureFiles | None
    test: PictureFiles | None
    classes: dict[str, Label]


def labelled_pictures(folder: Path, reading: Reading) -> LabelledPictures:
    """Return the pictures of a folder with a folder for each class, not yet decoded.

    All parts are decoded to one kind and size.

    Raises
    ------
    DataError
        As `find_classes` and `PictureFiles.of`.
    """
    source = str(folder)
    parts = [
        None if part is None else _readable_classes(part, source, reading)
        for part in find_classes(folder)
    ]
    paths = [path for part in parts if part is not None for path in part.paths]
    headers = [read_header(path) for path in paths]
    decoding = common_decoding(paths, headers, source, reading)
    assert parts[0] is not None
    classes = class_labels(parts[0].names)
    if reading.like is not None and any(isinstance(label, str) for label in reading.like.classes):
        classes = dict[str, Label](zip(classes, classes, strict=True))
    train, validation, test = (
        None
        if part is None
        else PictureFiles(part.paths, decoding, np.array([classes[name] for name in part.names]))
        for part in parts
    )
    assert train is not None
    return LabelledPictures(train, validation, test, classes)


def picture_parts(folder: Path, reading: Reading) -> Parts:
    """Return the labelled images of a folder with a folder of pictures for each class.

    Without a test part `Parts.dataset` makes the validation part the test part.

    Raises
    ------
    DataError
        As `labelled_pictures`; for pixels on another scale than those of the training.
    """
    source = str(folder)
    refuse_options(source, reading, OF_PICTURES)
    train, validation, test, classes = labelled_pictures(folder, reading)
    split = _split(train, folder, reading)
    read_as = replace(
        format_of(train.decoding, DataFormat.of_arrays(split.images), reading),
        classes=tuple(classes.values()),
        class_names=tuple(classes),
    )
    others = [
        None if part is None else _split(part, folder, reading) for part in (test, validation)
    ]
    return Parts(
        folder.resolve().name, source, split, others[0], read_as, tuple(classes), others[1]
    )


def _split(files: PictureFiles, folder: Path, reading: Reading) -> Split:
    """Return the images of pictures with their labels and groups."""
    assert files.labels is not None
    # A wrong option is told before all pictures are read.
    groups = None if reading.group is None else groups_of(files.paths, folder, reading)
    images = files.images(reading)
    check_scale(images, str(folder), reading)
    return Split(images, files.labels, groups, files.paths)


def check_scale(images: NDArray[np.float32], source: str, reading: Reading) -> None:
    """Compare images with those of the training, or warn of two scales."""
    if reading.like is None:
        warn_of_two_scales(images, source)
    elif reading.scale is None:
        hint = "pass the divisor of its pixels as argument scale"
        reading.like.pixels.check(images, source, hint, warn=False)


def _readable_classes(part: ClassPictures, source: str, reading: Reading) -> ClassPictures:
    """Return pictures with the names of their classes, without broken ones if asked for."""
    kept = set(_readable(part.paths, source, reading))
    pairs = [pair for pair in zip(*part, strict=True) if pair[0] in kept]
    return ClassPictures([path for path, _ in pairs], [name for _, name in pairs])


def _readable(paths: Sequence[Path], source: str, reading: Reading) -> list[Path]:
    """Return the pictures that can be read, if the others are to be left out.

    Raises
    ------
    DataError
        If none can be read.

    Warns
    -----
    DataWarning
        That counts and names those left out.
    """
    if not reading.skip_broken:
        return list(paths)
    broken: dict[Path, str] = {}
    for path in paths:
        try:
            check_readable(path)
        except DataError as error:
            broken[path] = str(error)
    if len(broken) == len(paths):
        raise DataError(
            f"{source}: expected a picture that can be read, got {len(broken):,} that cannot, the "
            f"first: {next(iter(broken.values()))}"
        )
    if broken:
        names = ", ".join(map(str, list(broken)[:_NAMED]))
        more = f" and {len(broken) - _NAMED:,} more" if len(broken) > _NAMED else ""
        warnings.warn(
            f"{source}: left out {len(broken):,} of {len(paths):,} pictures, which cannot be read: "
            f"{names}{more}",
            DataWarning,
            stacklevel=2,
        )
    return [path for path in paths if path not in broken]
