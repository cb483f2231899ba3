"""Confusion matrices and what follows from them; NumPy on the host.

A confusion matrix has a row for each true class and a column for each predicted one; k
classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.errors import DataError

# (k, k)
Confusion = NDArray[np.int64]


def confusion_matrix(
    labels: NDArray[np.integer[Any]], predicted: NDArray[np.integer[Any]], n_classes: int
) -> Confusion:
    """Count how often each class was predicted for images of each class.

    Parameters
    ----------
    labels, predicted
        True and predicted classes of n images: integers (n,), 0 .. n_classes - 1.
    n_classes
        k.

    Returns
    -------
    (k, k), row: true class, column: predicted class

    Raises
    ------
    DataError
        If the lengths differ or a class is out of range.

    Examples
    --------
    >>> confusion_matrix(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 2]), 3)
    array([[1, 1, 0],
           [0, 1, 0],
           [0, 0, 1]])
    """
    if labels.ndim != 1 or labels.shape != predicted.shape:
        raise DataError(
            "confusion_matrix: expected labels and predicted of the same shape (n,), got "
            f"{labels.shape} and {predicted.shape}"
        )
    for name, classes in (("labels", labels), ("predicted", predicted)):
        wrong = (classes < 0) | (classes >= n_classes)
        if wrong.any():
            first = int(wrong.argmax())
            raise DataError(
                f"confusion_matrix: argument {name} expected classes 0 .. {n_classes - 1}, got "
                f"{classes[first]} at index {first}; are the data for this model?"
            )
    cells = labels.astype(np.int64) * n_classes + predicted
    return np.bincount(cells, minlength=n_classes**2).reshape(n_classes, n_classes)


def accuracy(confusion: Confusion) -> float:
    """Return the fraction of images on the diagonal; NaN without images.

    Examples
    --------
    >>> accuracy(np.array([[3, 1], [0, 4]]))
    0.875
    """
    return float(_ratio(np.trace(confusion), confusion.sum()))


def recall(confusion: Confusion) -> NDArray[np.float64]:
    """Return the fraction of the images of each class that was classified correctly.

    NaN for a class without images.

    Examples
    --------
    >>> recall(np.array([[3, 1], [0, 4]]))
    array([0.75, 1.  ])
    """
    return _ratio(np.diagonal(confusion), confusion.sum(axis=1))


def precision(confusion: Confusion) -> NDArray[np.float64]:
    """Return the fraction of the predictions of each class that was correct.

    NaN for a class that was never predicted.

    Examples
    --------
    >>> precision(np.array([[3, 1], [0, 4]]))
    array([1. , 0.8])
    """
    return _ratio(np.diagonal(confusion), confusion.sum(axis=0))


def confusion_summary(confusion: Confusion, class_names: Sequence[str]) -> list[str]:
    """Return a line per class: images, correct ones, and the most frequent mistake.

    Examples
    --------
    >>> for line in confusion_summary(np.array([[3, 1], [0, 4]]), ["cat", "dog"]):
    ...     print(line)
    cat  3 of 4 correct, mistaken for dog 1 time
    dog  4 of 4 correct
    """
    width = max(len(name) for name in class_names)
    digits = len(str(confusion.sum(axis=1).max()))
    lines = []
    for i, name in enumerate(class_names):
        total = confusion[i].sum()
        line = f"{name:<{width}}  {confusion[i, i]:>{digits}} of {total:>{digits}} correct"
        others = confusion[i].copy()
        others[i] = 0
        worst = int(others.argmax())
        if others[worst]:
            times = "time" if others[worst] == 1 else "times"
            line += f", mistaken for {class_names[worst]} {others[worst]} {times}"
        lines.append(line)
    return lines


def _ratio(
    part: NDArray[np.int64] | np.int64, whole: NDArray[np.int64] | np.int64
) -> NDArray[np.float64]:
    """Return part / whole, NaN where whole is 0."""
    ratio: NDArray[np.float64] = np.full(np.shape(whole), np.nan)
    np.divide(part, whole, out=ratio, where=np.asarray(whole) > 0)
    return ratio
