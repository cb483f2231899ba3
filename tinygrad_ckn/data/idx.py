"""The IDX format of MNIST and Fashion-MNIST, compressed with gzip or not.

An IDX file is two zero bytes, a type code, the number of dimensions r, r lengths as
big-endian uint32, then the elements in row-major, big-endian order. Source:
http://yann.lecun.com/exdb/mnist/ ("The IDX file format").
"""

import gzip
import math
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.chunks import slices
from tinygrad_ckn.data.arrays import as_images
from tinygrad_ckn.data.dataset import Dataset, Split
from tinygrad_ckn.data.files import existing_file, existing_folder
from tinygrad_ckn.data.npy import MAX_INFLATION
from tinygrad_ckn.data.parts import Parts
from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.data_format import DataFormat
from tinygrad_ckn.errors import DataError
from tinygrad_ckn.files import PathLike
from tinygrad_ckn.labels import as_labels
from tinygrad_ckn.lazy_images import LazyImages
from tinygrad_ckn.stored_rows import StoredRows

DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
GZIP_MAGIC = b"\x1f\x8b"
# Maximum number of axes of a NumPy array.
MAX_RANK = 64
# Bytes that are unzipped at a time.
_BLOCK_BYTES = 2**22

# As listed by `dpkg -L dataset-fashion-mnist`.
DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def read_idx(path: PathLike) -> NDArray[np.generic]:
    """Read one IDX file.

    Parameters
    ----------
    path : str or PathLike
        The file. It is unzipped if it starts as a gzip file does, whatever its name.

    Returns
    -------
    NDArray
        uint8, int8, int16, int32, float32 or float64, according to the type code, in
        native byte order; read-only.

    Raises
    ------
    DataError
        For a missing file, a broken gzip stream, a wrong magic number or type code, a
        length of 0, a header or data that end early, or bytes after the data. Offsets
        count the bytes of the unzipped file.
    """
    return _read(existing_file(path, "an IDX file"), None)


def open_idx(path: PathLike, reading: Reading) -> NDArray[np.generic]:
    """Read an IDX file of images; one that takes too much memory becomes LazyImages.

    A zipped one is unzipped into a temporary file then. To type checkers the result is an
    array. Errors are those of `read_idx`; a file that changes later is refused then.
    """
    return _read(existing_file(path, "an IDX file"), reading)


def _read(path: Path, reading: Reading | None) -> NDArray[np.generic]:
    """Return the array of an IDX file, lazily if it is large; without a reading it is not."""
    size = path.stat().st_size
    with path.open("rb") as raw:
        zipped = raw.read(2) == GZIP_MAGIC
        raw.seek(0)
        if not zipped:
            return _parse(raw.read, path, size, zipped, reading)
        try:
            unzipped = gzip.GzipFile(fileobj=raw)
            return _parse(unzipped.read, path, MAX_INFLATION * size, zipped, reading)
        except EOFError as error:
            raise DataError(
                f"{path}: expected a whole gzip stream, got one that is cut off where the file "
                f"ends, at byte {size}; copy or download it again"
            ) from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise DataError(
                f"{path}: expected a sound gzip stream, got one damaged at or before byte "
                f"{raw.tell()} ({error}); copy or download it again"
            ) from error


def _parse(
    read: Callable[[int], bytes],
    path: Path,
    max_bytes: int,
    zipped: bool,
    reading: Reading | None,
) -> NDArray[np.generic]:
    """Return the array of an IDX file of at most `max_bytes` bytes."""
    dtype, shape, start = _read_header(read, path)
    n_bytes = math.prod(shape) * dtype.itemsize
    end = start + n_bytes
    large = reading is not None and reading.is_large(shape)
    in_place = large and not zipped and end == max_bytes
    rows: StoredRows | None = None
    content = b""
    if large and zipped and end <= max_bytes:
        rows = StoredRows.temporary(shape, dtype, str(path))
        count = _unzip(read, rows)
    elif in_place:
        rows = StoredRows.of_file(path, shape, dtype, start)
        count = n_bytes
    else:
        content = read(n_bytes) if end <= max_bytes else b""
        count = len(content)
    if count != n_bytes or (not in_place and read(1)):
        if not zipped:
            got = f"ends at byte {max_bytes}"
        elif end > max_bytes:
            got = f"unzips to {max_bytes} bytes at most"
        else:
            got = "goes on" if count == n_bytes else f"ends at byte {start + count}"
        raise DataError(
            f"{path}: expected data of shape {shape} from byte {start} to byte {end}, got a file "
            f"that {got}; copy or download it again"
        )
    if rows is not None and reading is not None:
        lazy: Any = LazyImages(rows, reading.memory_limit)
        return lazy
    array = np.frombuffer(content, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)
    array.flags.writeable = False
    return array


def _unzip(read: Callable[[int], bytes], rows: StoredRows) -> int:
    """Write the content of a zipped file into rows; return the number of bytes that came."""
    count = 0
    for block in slices(len(rows), max(1, _BLOCK_BYTES // rows.row_bytes)):
        size = (block.stop - block.start) * rows.row_bytes
        content = read(size)
        count += len(content)
        if len(content) < size:
            break
        rows[block] = np.frombuffer(content, rows.dtype).reshape(-1, *rows.shape[1:])
    return count


def _read_header(
    read: Callable[[int], bytes], path: Path
) -> tuple[np.dtype[np.generic], tuple[int, ...], int]:
    """Return the dtype, the shape and the header size in bytes of an IDX file."""
    head = read(4)
    if len(head) < 4:
        raise DataError(
            f"{path}: expected an IDX header of at least 4 bytes, got a file that ends at byte "
            f"{len(head)}"
        )
    if head[:2] != b"\0\0":
        raise DataError(
            f"{path}: expected 0x0000 at byte 0, where an IDX file starts, got "
            f"0x{head[:2].hex()}; is it an IDX file (or one compressed with gzip, which starts "
            "with 0x1f8b)?"
        )
    code, rank = head[2:]
    if code not in DTYPES:
        known = ", ".join(f"0x{known:02x}" for known in DTYPES)
        raise DataError(
            f"{path}: expected an IDX type code at byte 2, one of {known}, got 0x{code:02x}"
        )
    if not 1 <= rank <= MAX_RANK:
        raise DataError(f"{path}: expected 1 to {MAX_RANK} dimensions at byte 3, got {rank}")
    lengths = read(4 * rank)
    size = 4 + 4 * rank
    if 4 + len(lengths) < size:
        raise DataError(
            f"{path}: expected an IDX header of {size} bytes for {rank} dimensions, got a file "
            f"that ends at byte {4 + len(lengths)}; copy or download it again"
        )
    shape = tuple(int(length) for length in np.frombuffer(lengths, ">u4"))
    if 0 in shape:
        axis = shape.index(0)
        raise DataError(
            f"{path}: expected a length of at least 1 for dimension {axis} at byte {4 + 4 * axis}, "
            "got 0"
        )
    return np.dtype(DTYPES[code]), shape, size


def load_idx(
    folder: PathLike,
    *,
    name: str | None = None,
    class_names: tuple[str, ...] | None = None,
    scale: float | None = None,
    memory: int | str | None = None,
) -> Dataset:
    """Read the four IDX files of a data set in the layout of MNIST.

    Parameters
    ----------
    folder : str or PathLike
        Holds train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte
        and t10k-labels-idx1-ubyte, each with or without ".gz"; names with a dot, such as
        train-images.idx3-ubyte, are accepted too.
    name : str, optional
        Name of the data set; None: that of the folder.
    class_names : tuple[str, ...], optional
        One name per class; None: the labels themselves.
    scale : float, optional
        Divisor of the pixels; None: 255 for integers, 1 for floats.
    memory : int or str, optional
        As for `load`.

    Returns
    -------
    Dataset
        Images of shape (1, H, W); its classes are the distinct labels, sorted.

    Raises
    ------
    DataError
        For a missing or damaged file, files of different lengths, or labels without a
        class name.
    """
    return idx_parts(folder, Reading.of(scale=scale, memory=memory), name, class_names).dataset(
        seed=0
    )


def idx_parts(
    folder: PathLike,
    reading: Reading,
    name: str | None = None,
    class_names: tuple[str, ...] | None = None,
) -> Parts:
    """Return the training and the test part of a folder of four IDX files."""
    folder = existing_folder(folder, "IDX files")
    train, read_as = _read_split(folder, "train", reading)
    as_train = reading if reading.like is not None else reading.with_format(read_as)
    test, _ = _read_split(folder, "t10k", as_train)
    return Parts(name or folder.resolve().name, str(folder), train, test, read_as, class_names)


def load_fashion_mnist(
    folder: PathLike | None = None, *, memory: int | str | None = None
) -> Dataset:
    """Read Fashion-MNIST: 70,000 images of clothes, 10,000 of them test images.

    Images have shape (1, 28, 28), in 10 classes.

    Source: H. Xiao, K. Rasul and R. Vollgraf, 2017, https://arxiv.org/abs/1708.07747.

    Parameters
    ----------
    folder : str or PathLike, optional
        Holds the four IDX files; None: the folder of Debian's package
        dataset-fashion-mnist.
    memory : int or str, optional
        As for `load`.

    Raises
    ------
    DataError
        As `load_idx`, and if no folder is given and the package is not installed.
    """
    if folder is None and not DEBIAN_FASHION_MNIST.is_dir():
        raise DataError(
            f"fashion-mnist: expected the IDX files in {DEBIAN_FASHION_MNIST}, got no such folder; "
            "run `apt-get install dataset-fashion-mnist`, or pass their folder as argument data_dir"
        )
    return load_idx(
        folder or DEBIAN_FASHION_MNIST,
        name="fashion-mnist",
        class_names=FASHION_CLASSES,
        memory=memory,
    )


def has_idx_files(folder: Path) -> bool:
    """Return whether a folder holds any of the four files that `load_idx` reads."""
    return any(
        _find(folder, part, kind) is not None
        for part in ("train", "t10k")
        for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")
    )


def starts_as_idx(path: Path) -> bool:
    """Return whether a file starts as an IDX file does, unzipped if it is a gzip stream."""
    with path.open("rb") as stream:
        start = stream.read(2)
        if start == GZIP_MAGIC:
            stream.seek(0)
            try:
                start = gzip.GzipFile(fileobj=stream).read(2)
            except (OSError, EOFError, zlib.error):
                # Reading it says what is wrong.
                return True
    return start == b"\0\0"


def _read_split(folder: Path, part: str, reading: Reading) -> tuple[Split, DataFormat]:
    """Return the images and labels of one part, "train" or "t10k", and their format."""
    images_path, labels_path = (
        _required(folder, part, kind) for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")
    )
    labels = as_labels(read_idx(labels_path), str(labels_path))
    array = open_idx(images_path, reading)
    images, read_as = as_images(array, str(images_path), reading, len(array))
    if len(images) != len(labels):
        raise DataError(
            f"{labels_path}: expected {len(images)} labels, one for each image of "
            f"{images_path.name}, got {len(labels)}"
        )
    return Split(images, labels), read_as


def _required(folder: Path, part: str, kind: str) -> Path:
    """Return the path of one of the four files, or raise a DataError."""
    path = _find(folder, part, kind)
    if path is None:
        raise DataError(
            f"{folder}: expected a file {part}-{kind} or {part}-{kind}.gz, got neither; add it "
            "there"
        )
    return path


def _find(folder: Path, part: str, kind: str) -> Path | None:
    """Return the path of one of the four files under any of its names, or None."""
    stems = (f"{part}-{kind}", f"{part}-{kind.replace('-', '.', 1)}")
    candidates = (folder / f"{stem}{suffix}" for stem in stems for suffix in ("", ".gz"))
    return next((path for path in candidates if path.is_file()), None)
