"""What every loader returns: a Dataset of two Splits, and the two ways to cut a Split, into batches and by class.

Axes: n images, C channels, H rows, W columns.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.data._arrays import check_finite
from tinygrad_ckn.errors import DataError


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """Images with their labels; checked when made, never copied.

    Parameters
    ----------
    images : NDArray[np.float32], shape (n, C, H, W)
        C-contiguous and finite, n >= 1; in [0, 1] where the file held bytes.
    labels : NDArray[np.int64], shape (n,)
        Class numbers from 0.

    Raises
    ------
    DataError
        For another shape, dtype or memory layout, an empty array, different lengths, NaN, infinity, a negative label.

    Examples
    --------
    >>> import numpy as np
    >>> Split(np.zeros((3, 1, 8, 8), np.float32), np.array([0, 1, 1]))
    Split(3 images of 1x8x8)
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        if images.ndim != 4 or images.size == 0:
            raise DataError(f"Split: expected at least one image, shape (n, C, H, W), got shape {images.shape}")
        if images.dtype != np.float32 or not images.flags.c_contiguous:
            layout = "" if images.flags.c_contiguous else " not C-contiguous"
            raise DataError(
                f"Split: expected images of dtype float32, C-contiguous, got {images.dtype}{layout}; "
                "use np.ascontiguousarray(images, dtype=np.float32)"
            )
        if labels.dtype != np.int64 or labels.shape != images.shape[:1]:
            raise DataError(
                f"Split: expected labels of dtype int64, shape ({len(images)},), one an image, "
                f"got {labels.dtype} of shape {labels.shape}"
            )
        if labels.min() < 0:
            first = int((labels < 0).argmax())
            raise DataError(f"Split: expected labels from 0 up, got {labels[first]} at index {first}")
        check_finite(images, "Split")

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"Split({len(self)} images of {'x'.join(str(size) for size in self.images.shape[1:])})"

    def take(self, indices: NDArray[np.integer]) -> "Split":
        """Return a copy of the images and labels at `indices`, an integer array, in that order."""
        return Split(self.images[indices], self.labels[indices])


@dataclass(frozen=True, eq=False)
class Dataset:
    """A training and a test Split of equal image size, and the names of the classes.

    Parameters
    ----------
    name : str
        What the data set is called in reports.
    train, test : Split
        The images to learn from and the images to measure on.
    n_classes : int
        Labels run from 0 to n_classes - 1.
    class_names : tuple[str, ...]
        One name a class.

    Raises
    ------
    DataError
        For splits of different image shapes, a number of names that is not n_classes, or a label out of range.

    Examples
    --------
    >>> from tinygrad_ckn.data import load_digits
    >>> digits = load_digits()
    >>> digits.in_channels, digits.image_size, digits.n_classes
    (1, (8, 8), 10)
    """

    name: str
    train: Split
    test: Split
    n_classes: int
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.train.images.shape[1:] != self.test.images.shape[1:]:
            raise DataError(
                f"{self.name}: expected test images of the training images' shape (C, H, W) "
                f"{self.train.images.shape[1:]}, got {self.test.images.shape[1:]}"
            )
        if len(self.class_names) != self.n_classes:
            raise DataError(
                f"{self.name}: expected {self.n_classes} class names, one a class, got {len(self.class_names)}"
            )
        for part, split in (("training", self.train), ("test", self.test)):
            wrong = split.labels >= self.n_classes
            if wrong.any():
                first = int(wrong.argmax())
                raise DataError(
                    f"{self.name}: expected {part} labels 0 .. {self.n_classes - 1}, "
                    f"got {split.labels[first]} at index {first}"
                )

    @property
    def in_channels(self) -> int:
        """The number of channels C of every image."""
        return int(self.train.images.shape[1])

    @property
    def image_size(self) -> tuple[int, int]:
        """The height and width (H, W) of every image."""
        height, width = self.train.images.shape[2:]
        return height, width


def batches(n: int, batch_size: int, rng: np.random.Generator | None = None) -> Iterator[NDArray[np.int64]]:
    """Cut the indices 0 .. n-1 into batches, once through.

    Parameters
    ----------
    n : int
        The number of images.
    batch_size : int
        Indices a batch; the last batch holds what is left.
    rng : np.random.Generator, optional
        Shuffles the indices; in order when None.

    Returns
    -------
    Iterator[NDArray[np.int64]]
        Arrays of shape (batch_size,), the last one perhaps shorter.

    Raises
    ------
    DataError
        For a negative n or a batch_size below 1.

    Examples
    --------
    >>> [batch.tolist() for batch in batches(5, 2)]
    [[0, 1], [2, 3], [4]]
    """
    if n < 0 or batch_size < 1:
        raise DataError(f"batches: expected n >= 0 and batch_size >= 1, got n={n} and batch_size={batch_size}")
    order = np.arange(n) if rng is None else rng.permutation(n)
    return (order[start : start + batch_size] for start in range(0, n, batch_size))


def split_off(split: Split, fraction: float, rng: np.random.Generator) -> tuple[Split, Split]:
    """Hold out a share of every class, as a validation set taken from a training set.

    Each class gives `fraction` of its images rounded down; the images that are missing to `fraction` of them all come,
    one a class, from the classes that lost most by the rounding. A class never gives its last image. Both parts keep
    the order of `split`.

    Parameters
    ----------
    split : Split
        The n images to divide.
    fraction : float
        The share to hold out, strictly between 0 and 1.
    rng : np.random.Generator
        Chooses the images.

    Returns
    -------
    rest, held_out : Split
        Copies; together they hold every image once.

    Raises
    ------
    DataError
        For a fraction out of range, or so small that nothing would be held out.

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_ckn.data import load_digits
    >>> split_off(load_digits().train, 0.1, np.random.default_rng(0))
    (Split(1293 images of 1x8x8), Split(144 images of 1x8x8))
    """
    if not 0 < fraction < 1:
        raise DataError(f"split_off: expected a fraction strictly between 0 and 1, got {fraction}")
    counts = np.bincount(split.labels)  # (n_classes,)
    exact = fraction * counts
    quotas = np.floor(exact).astype(np.int64)
    missing = round(fraction * len(split)) - int(quotas.sum())
    quotas[np.argsort(quotas - exact, kind="stable")[:missing]] += 1
    quotas = np.minimum(quotas, np.maximum(counts - 1, 0))

    held = np.zeros(len(split), dtype=np.bool_)
    for label, quota in enumerate(quotas):
        held[rng.permutation(np.flatnonzero(split.labels == label))[:quota]] = True
    if not held.any():
        raise DataError(
            f"split_off: expected at least one image to hold out, got none from fraction {fraction} of {len(split)} "
            "images; raise the fraction or give more images of each class"
        )
    return split.take(np.flatnonzero(~held)), split.take(np.flatnonzero(held))
