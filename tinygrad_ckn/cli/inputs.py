"""Images named on the command line: pictures, folders of them, and files of arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.chunks import slices
from tinygrad_ckn.cli.fields import Given
from tinygrad_ckn.data import DataFormat, load_images
from tinygrad_ckn.data.picture_folder import holds_pictures, open_pictures
from tinygrad_ckn.data.reading import Reading

# Number of pictures that are in memory at a time.
BLOCK = 1024


@dataclass(frozen=True)
class Input:
    """Some images, in the order given.

    Parameters
    ----------
    source : str
        Name of the images in messages.
    keys : sequence of (str, str)
        File of each image, and its index in the file, counted from 0.
    step : int
        How many images to read at a time.
    read : callable
        Returns images (n, C, H, W) of a slice.
    """

    source: str
    keys: Sequence[tuple[str, str]]
    step: int
    read: Callable[[slice], NDArray[np.float32]]

    def __len__(self) -> int:
        return len(self.keys)

    def blocks(self) -> Iterator[slice]:
        """Return slices that cut the images into blocks to read at a time."""
        return slices(len(self), self.step)


def open_inputs(
    files: Sequence[Path], data_format: DataFormat | None, reading: Given
) -> Iterator[Input]:
    """Yield the images of files and folders, in the order given.

    Pictures and folders that follow each other are one input, and are read in blocks; a
    file of arrays is read as a whole, when its turn comes.

    Raises
    ------
    DataError
        For images that cannot be read as the training images were.
    """
    for are_pictures, group in groupby(files, key=holds_pictures):
        if are_pictures:
            yield _of_pictures(list(group), data_format, reading)
        else:
            yield from (_of_file(file, data_format, reading) for file in group)


def _of_pictures(paths: list[Path], data_format: DataFormat | None, reading: Given) -> Input:
    """Return the pictures of files and folders."""
    pictures = open_pictures(paths, Reading.of(data_format=data_format, **reading))
    keys = [(str(path), "0") for path in pictures.paths]
    source = str(paths[0]) if len(paths) == 1 else f"{paths[0]} .. {paths[-1]}"

    def read(block: slice) -> NDArray[np.float32]:
        return pictures.read(range(block.start, block.stop))

    return Input(source, keys, BLOCK, read)


def _of_file(file: Path, data_format: DataFormat | None, reading: Given) -> Input:
    """Return the images of a file of arrays."""
    images = load_images(file, data_format=data_format, **reading)
    keys = [(str(file), str(index)) for index in range(len(images))]
    return Input(str(file), keys, len(images), images.__getitem__)
