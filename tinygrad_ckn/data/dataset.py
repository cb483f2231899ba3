"""The Dataset that every loader returns, its Splits, and their batches.

Axes: n images, C channels, H rows, W columns.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.chunks import slices
from tinygrad_ckn.data.arrays import check_finite
from tinygrad_ckn.data.group_split import hold_out_groups
from tinygrad_ckn.data_format import DataFormat
from tinygrad_ckn.errors import DataError
from tinygrad_ckn.fingerprints import fingerprints_of
from tinygrad_ckn.groups import joined
from tinygrad_ckn.labels import Label, class_numbers, classes_of
from tinygrad_ckn.lazy_images import is_lazy, some_of


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """Images with their labels, checked but not copied.

    Parameters
    ----------
    images : NDArray[np.float32], shape (n, C, H, W)
        C-contiguous and finite, n >= 1; in [0, 1] if the file held bytes. Instead of an
        array they may be `LazyImages`, which are read and checked when indexed.
    labels : NDArray, shape (n,)
        int64, bool or str: the original labels, not class numbers (see
        `tinygrad_ckn.labels`).
    groups : NDArray, shape (n,), optional
        int64, bool or str: images of one group, such as those of a subject, stay on one
        side of every split.
    paths : sequence of Path, optional
        The file of each image, where each has one of its own.

    Raises
    ------
    DataError
        For another shape, dtype or memory layout, an empty array, different lengths,
        NaN or infinity.

    Examples
    --------
    >>> import numpy as np
    >>> Split(np.zeros((3, 1, 8, 8), np.float32), np.array([0, 1, 1]))
    Split(3 images of 1x8x8)
    """

    images: NDArray[np.float32]
    labels: NDArray[Any]
    groups: NDArray[Any] | None = None
    paths: Sequence[Path] | None = None

    def __post_init__(self) -> None:
        images = self.images
        labels = self.labels
        if images.ndim != 4 or images.size == 0:
            raise DataError(
                f"Split: expected at least one image, shape (n, C, H, W), got shape {images.shape}"
            )
        contiguous = bool(is_lazy(images)) or images.flags.c_contiguous
        if images.dtype != np.float32 or not contiguous:
            layout = "" if contiguous else " not C-contiguous"
            raise DataError(
                "Split: expected images of dtype float32, C-contiguous, got "
                f"{images.dtype}{layout}; use np.ascontiguousarray(images, dtype=np.float32)"
            )
        if (
            not (labels.dtype == np.int64 or labels.dtype.kind in "bU")
            or labels.shape != images.shape[:1]
        ):
            raise DataError(
                f"Split: expected labels of dtype int64, bool or str, shape ({len(images)},), one "
                f"per image, got {labels.dtype} of shape {labels.shape}; use "
                "tinygrad_ckn.labels.as_labels(labels, 'labels')"
            )
        groups = self.groups
        if groups is not None and groups.shape != labels.shape:
            raise DataError(
                f"Split: expected groups of shape {labels.shape}, one per image, got "
                f"{groups.shape}; name the group of each image"
            )
        if self.paths is not None and len(self.paths) != len(labels):
            raise DataError(
                f"Split: expected {len(labels)} paths, one per image, got {len(self.paths)}"
            )
        check_finite(images, "Split")

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return (
            f"Split({len(self)} images of {'x'.join(str(size) for size in self.images.shape[1:])})"
        )

    @cached_property
    def fingerprints(self) -> NDArray[np.int64]:
        """A number for each image, (n,); equal images have equal numbers."""
        return fingerprints_of(self.images)

    def take(self, indices: NDArray[np.integer]) -> "Split":
        """Return the images and labels at integer indices, in their order.

        Lazy images are not read; others are copied.
        """
        groups = None if self.groups is None else self.groups[indices]
        paths = None if self.paths is None else [self.paths[i] for i in indices.tolist()]
        return Split(some_of(self.images, indices), self.labels[indices], groups, paths)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training, test and validation images of equal size, and the names of the classes.

    Parameters
    ----------
    name : str
        Name of the data set in reports.
    train : Split
        The images to learn from.
    test : Split or None
        The images to measure on; None: there are none.
    n_classes : int
        The number of classes.
    class_names : tuple[str, ...]
        One name per class.
    read_as : DataFormat, optional
        How the images were read, by default as arrays. If it has no classes, they are
        the sorted distinct labels, or 0 .. n_classes - 1 if the labels are such numbers.
    validation : Split, optional
        The images to choose the best epoch on, and to calibrate probabilities.

    Raises
    ------
    DataError
        For splits of different image shapes, a number of names or classes that is not
        n_classes, or a label that is not among the classes.

    Examples
    --------
    >>> from tinygrad_ckn.data import load_digits
    >>> digits = load_digits()
    >>> digits.in_channels, digits.image_size, digits.n_classes
    (1, (8, 8), 10)
    """

    name: str
    train: Split
    test: Split | None
    n_classes: int
    class_names: tuple[str, ...]
    read_as: DataFormat | None = None
    validation: Split | None = None

    def __post_init__(self) -> None:
        for part, split in self.parts.items():
            if self.train.images.shape[1:] != split.images.shape[1:]:
                raise DataError(
                    f"{self.name}: expected {part} images of the training images' shape (C, H, W) "
                    f"{self.train.images.shape[1:]}, got {split.images.shape[1:]}"
                )
        if len(self.class_names) != self.n_classes:
            raise DataError(
                f"{self.name}: expected {self.n_classes} class names, one per class, got "
                f"{len(self.class_names)}"
            )
        if len(self.classes) != self.n_classes:
            raise DataError(
                f"{self.name}: expected {self.n_classes} classes, got {len(self.classes)}"
            )
        for part, split in self.parts.items():
            class_numbers(split.labels, self.classes, f"{self.name}, {part} labels")

    @cached_property
    def data_format(self) -> DataFormat:
        """How the images and labels were read."""
        data_format = self.read_as or DataFormat.of_arrays(self.train.images)
        classes = data_format.classes or classes_of(
            self._labels(), f"{self.name}, labels", self.n_classes
        )
        return replace(data_format, classes=classes, class_names=tuple(self.class_names))

    @property
    def parts(self) -> dict[str, Split]:
        """The parts that there are: "training", "test", "validation"."""
        parts = {"training": self.train, "test": self.test, "validation": self.validation}
        return {name: split for name, split in parts.items() if split is not None}

    @property
    def classes(self) -> tuple[Label, ...]:
        """The label of each class, by class number."""
        return self.data_format.classes

    def _labels(self) -> NDArray[Any]:
        """Return the labels of all parts, which must be of one type."""
        parts = [split.labels for split in self.parts.values()]
        kinds = sorted({str(labels.dtype.type.__name__) for labels in parts})
        if len(kinds) > 1:
            raise DataError(
                f"{self.name}: expected labels of one kind in all parts, got {' and '.join(kinds)}"
            )
        return np.concatenate(parts)

    @property
    def n_copies(self) -> int:
        """The number of test images that equal a training image."""
        return self.copies.get("test in training", 0)

    @cached_property
    def copies(self) -> dict[str, int]:
        """How many images of a part equal one of another, by their names; none are left out.

        Keys are "test in training", "validation in training" and "test in validation".
        """
        pairs = (("test", "training"), ("validation", "training"), ("test", "validation"))
        return self._shared(pairs, lambda split: split.fingerprints)

    @cached_property
    def shared_groups(self) -> dict[str, int]:
        """The same for images whose group is in another part, by given groups."""
        pairs = (("test", "training"), ("validation", "training"), ("test", "validation"))
        return self._shared(pairs, lambda split: split.groups)

    def _shared(
        self,
        pairs: tuple[tuple[str, str], ...],
        numbers: Callable[[Split], NDArray[Any] | None],
    ) -> dict[str, int]:
        """Return how many numbers of a part are in another, where there are any."""
        counts = {}
        for part, other in pairs:
            own, others = (
                None if name not in self.parts else numbers(self.parts[name])
                for name in (part, other)
            )
            if own is not None and others is not None:
                if own.dtype.kind != others.dtype.kind:
                    # Numbers in one file may be words in another.
                    own, others = own.astype(str), others.astype(str)
                counts[f"{part} in {other}"] = int(np.isin(own, others).sum())
        return {name: count for name, count in counts.items() if count}

    @cached_property
    def n_conflicting(self) -> int:
        """The number of images that equal an image with another label, in any part."""
        parts = self.parts.values()
        images = np.concatenate([split.fingerprints for split in parts])
        labels = np.unique(np.concatenate([x.labels for x in parts]), return_inverse=True)[1]
        _, first, image = np.unique(images, return_index=True, return_inverse=True)
        conflicting = np.bincount(image, labels != labels[first][image]) > 0
        return int(conflicting[image].sum())

    @property
    def in_channels(self) -> int:
        """The number of channels C of every image."""
        return int(self.train.images.shape[1])

    @property
    def image_size(self) -> tuple[int, int]:
        """The height and width (H, W) of every image."""
        height, width = self.train.images.shape[2:]
        return height, width


def batches(
    n: int, batch_size: int, rng: np.random.Generator | None = None
) -> Iterator[NDArray[np.int64]]:
    """Cut the indices 0 .. n - 1 into batches.

    Parameters
    ----------
    n : int
        The number of images.
    batch_size : int
        Indices per batch; the last batch may be shorter.
    rng : np.random.Generator, optional
        Shuffles the indices; None: in order.

    Returns
    -------
    Iterator[NDArray[np.int64]]
        Arrays of shape (batch_size,), the last one possibly shorter.

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
        raise DataError(
            f"batches: expected n >= 0 and batch_size >= 1, got n={n} and batch_size={batch_size}"
        )
    order = np.arange(n) if rng is None else rng.permutation(n)
    return (order[batch] for batch in slices(n, batch_size))


def split_off(split: Split, fraction: float, rng: np.random.Generator) -> tuple[Split, Split]:
    """Hold out a fraction of every class, such as a validation set from a training set.

    Each class gives `fraction` of its images, rounded down; the classes with the largest
    remainders then give one more image each, until `fraction` of all images are held
    out. A class never gives its last image. Both parts keep the order of `split`. Equal
    images count as one, and stay together.

    With `split.groups` whole groups are held out, so that the numbers of images come as
    close to `fraction` as a random order of the groups allows. Groups that have an image
    in common stay together, too.

    Parameters
    ----------
    split : Split
        The n images to divide.
    fraction : float
        The fraction to hold out, strictly between 0 and 1.
    rng : np.random.Generator
        Chooses the images.

    Returns
    -------
    rest, held_out : Split
        Copies; together they have every image of `split`.

    Raises
    ------
    DataError
        For a fraction out of range, or so small that nothing would be held out; for
        groups that cannot be divided.

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_ckn.data import load_digits
    >>> split_off(load_digits().train, 0.1, np.random.default_rng(0))
    (Split(1293 images of 1x8x8), Split(144 images of 1x8x8))
    """
    if not 0 < fraction < 1:
        raise DataError(f"split_off: expected a fraction strictly between 0 and 1, got {fraction}")
    if split.groups is not None:
        together = joined(split.groups, split.fingerprints)
        held_out = hold_out_groups(split.labels, together, fraction, rng)
    else:
        held_out = _hold_out(split, fraction, rng)
    if not held_out.any():
        groups = "" if split.groups is None else f" in {len(np.unique(split.groups))} groups"
        raise DataError(
            "split_off: expected at least one image to hold out, got none from fraction "
            f"{fraction} of {len(split)} images{groups}; raise the fraction or give more images of "
            "each class"
        )
    return split.take(np.flatnonzero(~held_out)), split.take(np.flatnonzero(held_out))


def _hold_out(split: Split, fraction: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return which images (n,) to hold out, of each class a fraction."""
    _, first, group = np.unique(split.fingerprints, return_index=True, return_inverse=True)
    # The first of each group of equal images.
    different = np.sort(first)
    numbers = np.unique(split.labels[different], return_inverse=True)[1]
    # (n_classes,)
    counts = np.bincount(numbers)
    exact = fraction * counts
    quotas = np.floor(exact).astype(np.int64)
    missing = round(fraction * len(different)) - int(quotas.sum())
    quotas[np.argsort(quotas - exact, kind="stable")[:missing]] += 1
    quotas = np.minimum(quotas, np.maximum(counts - 1, 0))

    held_out = np.zeros(len(split), dtype=np.bool_)
    for number, quota in enumerate(quotas):
        held_out[different[rng.permutation(np.flatnonzero(numbers == number))[:quota]]] = True
    together: NDArray[np.bool_] = held_out[first][group]
    return together
