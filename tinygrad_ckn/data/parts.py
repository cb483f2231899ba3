"""Labelled images of a file, and the Dataset made of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tinygrad_ckn.data.dataset import Dataset, Split, split_off
from tinygrad_ckn.data.division import Division
from tinygrad_ckn.data_format import DataFormat
from tinygrad_ckn.errors import ConfigError, DataError
from tinygrad_ckn.labels import classes_of


class Parts(NamedTuple):
    """Labelled images of a data set: training part, and other parts if any."""

    name: str
    source: str
    train: Split
    test: Split | None
    read_as: DataFormat
    class_names: tuple[str, ...] | None = None
    validation: Split | None = None

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
            dataset.validation,
        )

    def divided(self, division: Division) -> Parts:
        """Return the parts without a test part that is not meant to be one.

        A validation part is the test part if there is no other, unless it comes from
        another file, or a share for testing is given.
        """
        is_meant = division.validation_data is not None or division.holdout is not None
        if self.test is None and self.validation is not None and not is_meant:
            return self._replace(test=self.validation, validation=None)
        return self

    def dataset(self, seed: int, division: Division | None = None) -> Dataset:
        """Return a Dataset.

        Without a test part, a stratified share of the images, by default a fifth, chosen
        by the seed, becomes the test part.

        Raises
        ------
        ConfigError
            For a share to hold out of data that have a test part.
        DataError
            For too few images, or another number of class names than of classes.
        """
        division = division or Division()
        parts = self.divided(division)
        if parts.test is not None and division.holdout is not None:
            raise ConfigError(
                f"load: argument holdout expected None with {self.source}, which has test images, "
                f"got {division.holdout:g}; leave it out"
            )
        if parts.test is None and division.fraction:
            parts = parts._held_out(division.fraction, seed)
        train, test, validation = parts.train, parts.test, parts.validation
        splits = [split for split in (train, test, validation) if split is not None]
        kinds = [split.labels.dtype for split in splits]
        if len({dtype.kind for dtype in kinds}) > 1:
            raise DataError(
                f"{self.source}: expected labels of one kind in all parts, got "
                f"{' and '.join(map(str, kinds))}; store one kind"
            )
        n_classes = None if self.class_names is None else len(self.class_names)
        # A published set may have classes that do not occur in these files.
        classes = self.read_as.classes or classes_of(
            np.concatenate([split.labels for split in splits]), f"{self.source}, labels", n_classes
        )
        names = self.class_names or tuple(str(label) for label in classes)
        return Dataset(self.name, train, test, len(classes), names, self.read_as, validation)

    def _held_out(self, fraction: float, seed: int) -> Parts:
        """Return the parts with a share of the training images as the test part."""
        try:
            train, test = split_off(self.train, fraction, np.random.default_rng(seed))
        except DataError as error:
            n, n_classes = len(self.train), len(np.unique(self.train.labels))
            if self.train.groups is None:
                raise DataError(
                    f"{self.source}: expected enough images to hold out {fraction:.0%} of them for "
                    f"testing, got {n} images of {n_classes} classes; add images, or use an .npz "
                    "file with test_images and test_labels"
                ) from error
            raise DataError(
                f"{self.source}: expected groups of which one can be held out for testing while "
                f"each class keeps an image, got {len(np.unique(self.train.groups))} of {n} images "
                f"of {n_classes} classes; pass test images as argument test_data, or other groups "
                "as argument group"
            ) from error
        return self._replace(train=train, test=test)
