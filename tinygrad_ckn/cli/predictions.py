"""Tables of predictions: the class of each image, several, all, or for Kaggle."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.files import is_special
from tinygrad_ckn.models import Network

Row: TypeAlias = tuple[str, ...]
# Headers of submissions to Kaggle; both number the images from 1.
KAGGLE = {"kaggle": ("ImageId", "Label"), "kaggle-prediction": ("Id", "Prediction")}


@dataclass(frozen=True)
class Form:
    """Columns of a table of predictions.

    Parameters
    ----------
    labels, names : sequence of str
        Label and name of each class.
    measure : str
        What is known of a class: "probability" or "score".
    keys : tuple[str, ...]
        Columns that tell which image it is: ("path",) or ("file", "index").
    top : int or None
        How many classes to list, a row for each.
    all_classes : bool
        Whether there is a column for each class.
    kaggle : str or None
        A key of `KAGGLE`.
    """

    labels: tuple[str, ...]
    names: tuple[str, ...]
    measure: str
    keys: tuple[str, ...]
    top: int | None = None
    all_classes: bool = False
    kaggle: str | None = None

    @classmethod
    def of(
        cls,
        model: Network,
        are_pictures: bool,
        top: int | None,
        all_classes: bool,
        kaggle: str | None,
    ) -> Form:
        """Return the form that the options of `predict` ask for.

        Raises
        ------
        ConfigError
            For options that exclude each other, and more classes than there are.
        """
        n_classes = len(model.classes)
        if top is not None and not 1 <= top <= n_classes:
            raise ConfigError(
                f"predict: argument top expected a number of classes, 1 .. {n_classes}, got {top}"
            )
        if kaggle is not None and kaggle not in KAGGLE:
            raise ConfigError(
                "predict: argument format expected kaggle (columns ImageId,Label) or "
                f"kaggle-prediction (columns Id,Prediction), got {kaggle}"
            )
        chosen = {"top": top is not None, "all": all_classes, "format": kaggle is not None}
        given = [f"argument {name}" for name, is_given in chosen.items() if is_given]
        if len(given) > 1:
            raise ConfigError(
                f"predict: expected one of {' and '.join(given)}, got several; choose one"
            )
        labels = tuple(map(str, model.classes))
        names = () if model.data_format is None else model.data_format.class_names
        measure = "score" if model.temperature is None else "probability"
        keys = ("path",) if are_pictures else ("file", "index")
        return cls(labels, names or labels, measure, keys, top, all_classes, kaggle)

    @property
    def header(self) -> Row:
        """The names of the columns."""
        if self.kaggle is not None:
            return KAGGLE[self.kaggle]
        if self.all_classes:
            return (*self.keys, "class", *self.names)
        rank = () if self.top is None else ("rank",)
        return (*self.keys, *rank, "class", "name", self.measure)

    def rows(
        self, keys: Sequence[tuple[str, str]], values: NDArray[Any], start: int
    ) -> Iterator[Row]:
        """Yield the rows of images.

        Parameters
        ----------
        keys : sequence of (str, str)
            File and index of each of the n images.
        values : NDArray, shape (n, n_classes)
            Probabilities or scores.
        start : int
            Number of images before these.
        """
        orders = np.argsort(-values, axis=1, kind="stable")
        for number, ((file, index), row, order) in enumerate(
            zip(keys, values, orders, strict=True), start + 1
        ):
            key = (file, index)[: len(self.keys)]
            best = int(order[0])
            if self.kaggle is not None:
                yield str(number), self.labels[best]
            elif self.all_classes:
                yield (*key, self.labels[best], *(f"{value:.6f}" for value in row))
            else:
                for rank, i in enumerate(order[: self.top or 1].tolist(), 1):
                    ranked = () if self.top is None else (str(rank),)
                    yield (*key, *ranked, self.labels[i], self.names[i], f"{row[i]:.4f}")

    def check_output(self, path: Path) -> None:
        """Raise a ConfigError if the file exists and was not written by `predict`.

        A submission to Kaggle looks like a file that comes from there, and is kept.
        """
        if path.is_dir():
            raise ConfigError(
                f"{path}: expected a file to write to, got a folder; give a file in it"
            )
        if path.is_file() and not is_special(path) and path.stat().st_size:
            header = separated([self.header], ",").encode()
            with path.open("rb") as stream:
                start = stream.readline(max(200, len(header)))
            if self.kaggle is None and (start == header or start.startswith(_STARTS)):
                return
            raise ConfigError(
                f"{path}: expected a new file, or one that predict wrote, got another file, which "
                "would be overwritten; choose another with argument output"
            )


# Beginnings of the tables that `predict` writes.
_STARTS = tuple(
    f"{keys},{rank}class,name".encode()
    for keys, rank in product(("file,index", "path"), ("", "rank,"))
)


def separated(rows: Iterable[Sequence[object]], delimiter: str) -> str:
    """Return rows as lines; cells that contain the delimiter are quoted."""
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return text.getvalue()


def check_numbers(paths: Sequence[Path]) -> None:
    """Raise a ConfigError if names of pictures are numbers, but not those of their rows.

    A submission numbers its images from 1, in the order given.
    """
    stems = [path.stem for path in paths]
    if not all(stem.isdecimal() for stem in stems):
        return
    for number, (stem, path) in enumerate(zip(stems, paths, strict=True), 1):
        if int(stem) != number:
            raise ConfigError(
                "predict: argument format expected pictures in the order of the numbers in their "
                f"names, 1 .. {len(paths)}, or names that are no numbers, got {path} as number "
                f"{number}; give them in that order, or rename them"
            )
