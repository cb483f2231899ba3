"""Labelled images of a file, and the Dataset made of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tinygrad_ckn.data.dataset import Dataset, Split, split_off
from tinygrad_ckn.data_format import DataFormat
from tinygrad_ckn.errors import DataError
from tinygrad_ckn.labels import classes_of

TEST_FRACTION = 0.2


class Parts(NamedTuple):
    """Labelled images of a data set: training part, and test part if any."""

    name: str
    source: str
    train: Split
    test: Split | None
    read_as: DataFormat
    class_names: tuple[str, ...] | None = None

    @classmethod
    def of(cls, dataset: Dataset) -> Parts:
        """Return the parts of a Dataset."""
        return cls(
            dataset.name,
            dataset.name,
            dataset.train,
            dataset.test,
            dataset.data_format,
            dataset.class_names,
        )

    def dataset(self, seed: int) -> Dataset:
        """Return a Dataset.

        Without a test part, a stratified fifth of the images, chosen by the seed, becomes
        the test part.

        Raises
        ------
        DataError
            For too few images, or another number of class names than of classes.
        """
        if self.test is None:
            train, test = self._divided(seed)
        else:
            train, test = self.train, self.test
        if train.labels.dtype.kind != test.labels.dtype.kind:
            raise DataError(
                f"{self.source}: expected labels of one kind in both parts, got "
                f"{train.labels.dtype} and {test.labels.dtype}; store one kind"
            )
        n_classes = None if self.class_names is None else len(self.class_names)
        # A published set may have classes that do not occur in these files.
        classes = self.read_as.classes or classes_of(
            np.concatenate([train.labels, test.labels]), f"{self.source}, labels", n_classes
        )
        names = self.class_names or tuple(str(label) for label in classes)
        return Dataset(self.name, train, test, len(classes), names, self.read_as)

    def _divided(self, seed: int) -> tuple[Split, Split]:
        """Return a training and a test part of the images."""
        try:
            return split_off(self.train, TEST_FRACTION, np.random.default_rng(seed))
        except DataError as error:
            raise DataError(
                f"{self.source}: expected enough images to hold out {TEST_FRACTION:.0%} of them "
                f"for testing, got {len(self.train)} images of {len(np.unique(self.train.labels))} "
                "classes; add images, or use an .npz file with test_images and test_labels"
            ) from error
