"""What a classifier gets right and what it mistakes for what; NumPy on the host.

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
            f"confusion_matrix: expected labels and predicted of one shape (n,), got {labels.shape}, {predicted.shape}"
        )
    for name, classes in (("labels", labels), ("predicted", predicted)):
        wrong = (classes < 0) | (classes >= n_classes)
        if wrong.any():
            first = int(wrong.argmax())
            raise DataError(
                f"confusion_matrix: argument {name} expected classes 0 .. {n_classes - 1}, got {classes[first]} "
                f"at index {first}; is it data for this model?"
            )
    cells = labels.astype(np.int64) * n_classes + predicted
    return np.bincount(cells, minlength=n_classes**2).reshape(n_classes, n_classes)


def accuracy(confusion: Confusion) -> float:
    """Return the share of images on the diagonal; NaN when there are none.

    Examples
    --------
    >>> accuracy(np.array([[3, 1], [0, 4]]))
    0.875
    """
    return float(_ratio(np.trace(confusion), confusion.sum()))


def recall(confusion: Confusion) -> NDArray[np.float64]:
    """Return for each class the share of its images that was recognised; NaN for a class without images.

    Examples
    --------
    >>> recall(np.array([[3, 1], [0, 4]]))
    array([0.75, 1.  ])
    """
    return _ratio(np.diagonal(confusion), confusion.sum(axis=1))


def precision(confusion: Confusion) -> NDArray[np.float64]:
    """Return for each class the share of its predictions that was right; NaN for a class never predicted.

    Examples
    --------
    >>> precision(np.array([[3, 1], [0, 4]]))
    array([1. , 0.8])
    """
    return _ratio(np.diagonal(confusion), confusion.sum(axis=0))


def most_confused(confusion: Confusion, count: int = 5) -> list[tuple[int, int, int]]:
    """Return the pairs (true class, predicted class, images) of most mistakes, most first, at most `count`.

    Examples
    --------
    >>> most_confused(np.array([[3, 1, 0], [2, 4, 0], [0, 0, 9]]))
    [(1, 0, 2), (0, 1, 1)]
    """
    mistakes = confusion - np.diag(np.diagonal(confusion))
    order = np.argsort(-mistakes, axis=None, kind="stable")[:count]
    pairs = ((int(cell) // len(confusion), int(cell) % len(confusion)) for cell in order)
    return [
        (true, predicted, int(mistakes[true, predicted]))
        for true, predicted in pairs
        if mistakes[true, predicted]
    ]


def confusion_summary(confusion: Confusion, class_names: Sequence[str]) -> list[str]:
    """Return a line for each class: its images, how many were recognised, what it is most often mistaken for.

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
        line = f"{name:<{width}}  {confusion[i, i]:>{digits}} of {confusion[i].sum():>{digits}} correct"
        others = confusion[i].copy()
        others[i] = 0
        worst = int(others.argmax())
        if others[worst]:
            times = "time" if others[worst] == 1 else "times"
            line += f", mistaken for {class_names[worst]} {others[worst]} {times}"
        lines.append(line)
    return lines


def _ratio(part: Any, whole: Any) -> NDArray[np.float64]:
    """Return part / whole, NaN where whole is 0."""
    ratio: NDArray[np.float64] = np.full(np.shape(whole), np.nan)
    np.divide(part, whole, out=ratio, where=np.asarray(whole) > 0)
    return ratio
