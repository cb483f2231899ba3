"""The part of a report on the test images: accuracies, classes, confusions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_ckn.training import metrics

# Classes up to which the confusion matrix is shown whole; pairs of classes listed.
MAX_MATRIX = 20
MAX_PAIRS = 20


@dataclass(frozen=True)
class ClassRow:
    """A class: its images, recall and precision (None: undefined), most frequent mistake."""

    name: str
    images: int
    recall: float | None
    precision: float | None
    mistake: str


@dataclass(frozen=True)
class Measured:
    """Accuracy of the test images.

    Attributes
    ----------
    correct, total
        Numbers of images.
    accuracy, balanced
        Fraction classified correctly; mean over classes.
    interval
        The 95 % Wilson interval of the accuracy.
    calibration_error
        None if there are no probabilities.
    classes
        A row for each class.
    matrix
        Rows of (count, share of the row); empty for more than 20 classes.
    pairs
        (true, predicted, count), the most frequent first.
    """

    correct: int
    total: int
    accuracy: float
    balanced: float
    interval: metrics.Interval
    calibration_error: float | None
    classes: list[ClassRow]
    matrix: list[list[tuple[int, float]]]
    pairs: list[tuple[str, str, int]]


def measured(
    test: Mapping[str, Any], summary: Mapping[str, Any] | None, names: Sequence[str]
) -> Measured | None:
    """Return what the test line of metrics.jsonl says; None without test images.

    Parameters
    ----------
    test
        The line, with "confusion" (k, k).
    summary
        From `read_summary`; None: there is none.
    names
        Names of the classes.

    Examples
    --------
    >>> numbers = measured({"confusion": [[3, 1], [0, 4]]}, None, ["cat", "dog"])
    >>> numbers.accuracy, numbers.classes[0].mistake, numbers.pairs
    (0.875, 'dog (1)', [('cat', 'dog', 1)])
    """
    if not test.get("confusion"):
        return None
    confusion = np.asarray(test["confusion"], dtype=np.int64)
    k = len(confusion)
    if confusion.shape != (k, k):
        raise ValueError(f"a confusion matrix of shape {confusion.shape}")
    known = [names[i] if i < len(names) else str(i) for i in range(k)]
    correct, total = int(confusion.trace()), int(confusion.sum())
    if not total:
        return None
    bins = [] if summary is None else summary["reliability"]
    return Measured(
        correct,
        total,
        metrics.accuracy(confusion),
        metrics.balanced_accuracy(confusion),
        metrics.wilson_interval(correct, total),
        metrics.calibration_error(bins) if bins else None,
        _classes(confusion, known),
        _matrix(confusion) if k <= MAX_MATRIX else [],
        _pairs(confusion, known),
    )


def _classes(confusion: metrics.Confusion, names: list[str]) -> list[ClassRow]:
    """Return the row of each class."""
    rows = []
    columns = (metrics.recall(confusion).tolist(), metrics.precision(confusion).tolist())
    for i, (recall, precision) in enumerate(zip(*columns, strict=True)):
        others = confusion[i].copy()
        others[i] = 0
        worst = int(others.argmax())
        mistake = f"{names[worst]} ({others[worst]:,})" if others[worst] else ""
        rows.append(
            ClassRow(
                names[i],
                int(confusion[i].sum()),
                None if math.isnan(recall) else recall,
                None if math.isnan(precision) else precision,
                mistake,
            )
        )
    return rows


def _matrix(confusion: metrics.Confusion) -> list[list[tuple[int, float]]]:
    """Return the counts with their share of the row."""
    return [
        [(int(count), round(count / max(1, row.sum()), 3)) for count in row] for row in confusion
    ]


def _pairs(confusion: metrics.Confusion, names: list[str]) -> list[tuple[str, str, int]]:
    """Return the most frequent confusions."""
    mistakes = confusion - np.diag(np.diagonal(confusion))
    order = np.argsort(-mistakes, axis=None, kind="stable")[:MAX_PAIRS]
    cells = [divmod(int(cell), len(names)) for cell in order]
    return [(names[i], names[j], int(mistakes[i, j])) for i, j in cells if mistakes[i, j]]
