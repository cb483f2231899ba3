"""Confusion matrices and what follows from them, and calibration; NumPy on the host.

A confusion matrix has a row for each true class and a column for each predicted one; n
images, k classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn import checks
from tinygrad_ckn.errors import DataError
from tinygrad_ckn.integers import is_whole

# (k, k)
Confusion = NDArray[np.int64]


class Interval(NamedTuple):
    """A confidence interval of a fraction."""

    low: float
    high: float


@dataclass(frozen=True)
class ReliabilityBin:
    """The images whose largest probability lies in (low, high].

    Attributes
    ----------
    low, high : float
        The edges of the bin.
    count : int
        Number of images.
    confidence : float
        Mean of their largest probabilities; NaN without images.
    accuracy : float
        Fraction of them that is classified correctly; NaN without images.
    """

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


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


def balanced_accuracy(confusion: Confusion) -> float:
    """Return the mean recall of the classes with images; NaN without images.

    A classifier that knows only the most frequent class has 1 / k, whatever its accuracy.
    Source: K. Brodersen, C. S. Ong, K. Stephan and J. Buhmann, The balanced accuracy and
    its posterior distribution, ICPR 2010.

    Examples
    --------
    >>> balanced_accuracy(np.array([[98, 0], [1, 1]]))
    0.75
    """
    present = confusion.sum(axis=1) > 0
    return float(recall(confusion)[present].mean()) if present.any() else math.nan


def wilson_interval(correct: int, total: int, *, confidence: float = 0.95) -> Interval:
    """Return the score interval of the fraction correct / total.

    Unlike the interval of the normal approximation it stays within [0, 1] and keeps its
    coverage near 0 and 1. Source: E. B. Wilson, Probable inference, the law of succession,
    and statistical inference, JASA 22 (1927).

    Parameters
    ----------
    correct, total
        Counts, 0 <= correct <= total.
    confidence
        Probability that the interval covers the true fraction, in (0, 1); default 0.95.

    Returns
    -------
    Interval
        Low and high; NaN without images.

    Raises
    ------
    DataError
        If the counts are not integers, 0 <= correct <= total.
    ConfigError
        If the confidence is not in (0, 1).

    Examples
    --------
    >>> [round(end, 4) for end in wilson_interval(358, 360)]
    [0.98, 0.9985]
    """
    if not (is_whole(total, 0) and is_whole(correct, 0) and correct <= total):
        raise DataError(
            "wilson_interval: expected integers 0 <= correct <= total, got "
            f"{correct!r} and {total!r}"
        )
    checks.number(
        "wilson_interval", "confidence", confidence, "a number in (0, 1)", lambda c: 0 < c < 1
    )
    if not total:
        return Interval(math.nan, math.nan)
    from scipy.special import ndtri

    z = float(ndtri((1 + confidence) / 2))
    share = correct / total
    center = share + z**2 / (2 * total)
    half = z * math.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    scale = 1 + z**2 / total
    # At 0 and 1 the ends are exact, up to rounding.
    low = (center - half) / scale if correct else 0.0
    high = (center + half) / scale if correct < total else 1.0
    return Interval(low, high)


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


def reliability_bins(
    probabilities: NDArray[np.floating[Any]],
    labels: NDArray[np.integer[Any]],
    *,
    n_bins: int = 15,
) -> list[ReliabilityBin]:
    """Return accuracy and mean confidence of images grouped by their largest probability.

    Where confidence exceeds accuracy the model is overconfident. Source: C. Guo, G.
    Pleiss, Y. Sun and K. Weinberger, On calibration of modern neural networks, ICML 2017,
    section 2.

    Parameters
    ----------
    probabilities
        (n, k), rows that sum to 1.
    labels
        True classes (n,), 0 .. k - 1.
    n_bins
        Number of bins of equal width on [0, 1]; default 15, as in the paper.

    Raises
    ------
    DataError
        If the shapes do not match, a number is not in [0, 1], or a label is no class.
    ConfigError
        If n_bins is not an integer >= 1.

    Examples
    --------
    >>> p = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6]])
    >>> low, high = reliability_bins(p, np.array([0, 1, 1]), n_bins=2)
    >>> low.count, high.count, round(high.confidence, 4), round(high.accuracy, 4)
    (0, 3, 0.7667, 0.6667)
    """
    checks.integers("reliability_bins", n_bins=n_bins)
    _check_probabilities(probabilities, labels)
    confidence = probabilities.max(axis=1)
    return bins_of_confidence(confidence, probabilities.argmax(axis=1) == labels, n_bins)


def bins_of_confidence(
    confidence: NDArray[np.floating[Any]], correct: NDArray[np.bool_], n_bins: int = 15
) -> list[ReliabilityBin]:
    """Return `reliability_bins` of images (n,) of known largest probability.

    Examples
    --------
    >>> bins_of_confidence(np.array([0.9, 0.9]), np.array([True, False]), 1)
    [ReliabilityBin(low=0.0, high=1.0, count=2, confidence=0.9, accuracy=0.5)]
    """
    # In float64: otherwise 0.2 in float32 lies above the edge 0.2.
    values = confidence.astype(np.float64)
    edges = np.linspace(0, 1, n_bins + 1)
    number = np.clip(np.searchsorted(edges, values, side="left") - 1, 0, n_bins - 1)
    counts = np.bincount(number, minlength=n_bins)
    confidences = _ratio(np.bincount(number, values, n_bins), counts)
    accuracies = _ratio(np.bincount(number, correct, n_bins), counts)
    columns = (edges[:-1], edges[1:], counts, confidences, accuracies)
    return [
        ReliabilityBin(*row) for row in zip(*(column.tolist() for column in columns), strict=True)
    ]


def expected_calibration_error(
    probabilities: NDArray[np.floating[Any]],
    labels: NDArray[np.integer[Any]],
    *,
    n_bins: int = 15,
) -> float:
    """Return the mean over images of |accuracy - confidence| of their bin; NaN without images.

    0: of the images predicted with probability p a share p is classified correctly.
    Source: M. Pakdaman Naeini, G. Cooper and M. Hauskrecht, Obtaining well calibrated
    probabilities using Bayesian binning, AAAI 2015; bins as in Guo et al. 2017.

    Parameters and errors are those of `reliability_bins`.

    Examples
    --------
    >>> p = np.array([[0.75, 0.25]] * 4)
    >>> expected_calibration_error(p, np.array([0, 0, 0, 1]))
    0.0
    >>> expected_calibration_error(p, np.array([0, 0, 1, 1]))
    0.25
    """
    bins = reliability_bins(probabilities, labels, n_bins=n_bins)
    return calibration_error(bins)


def calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Return the expected calibration error of `reliability_bins`; NaN without images.

    Examples
    --------
    >>> calibration_error([ReliabilityBin(0.5, 1.0, 4, 0.75, 0.5)])
    0.25
    """
    gaps = [part.count * abs(part.accuracy - part.confidence) for part in bins if part.count]
    total = sum(part.count for part in bins)
    return sum(gaps) / total if total else math.nan


def _check_probabilities(
    probabilities: NDArray[np.floating[Any]], labels: NDArray[np.integer[Any]]
) -> None:
    """Raise a DataError unless they are probabilities (n, k) and classes (n,)."""
    owner = "reliability_bins"
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1]:
        raise DataError(
            f"{owner}: expected probabilities (n, k) and labels (n,), got "
            f"{probabilities.shape} and {labels.shape}"
        )
    n, k = probabilities.shape
    if n and (not k or labels.min() < 0 or labels.max() >= k):
        raise DataError(
            f"{owner}: argument labels expected classes 0 .. {k - 1}, got "
            f"{labels.min()} .. {labels.max()}; are the data for this model?"
        )
    # NaN is not.
    wrong = ~((probabilities >= 0) & (probabilities <= 1)).all(axis=-1)
    if wrong.any():
        raise DataError(
            f"{owner}: argument probabilities expected numbers from 0 to 1, got others in row "
            f"{int(wrong.argmax())}; pass those of predict_proba, not scores"
        )


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
    part: NDArray[Any] | np.int64, whole: NDArray[np.int64] | np.int64
) -> NDArray[np.float64]:
    """Return part / whole, NaN where whole is 0."""
    ratio: NDArray[np.float64] = np.full(np.shape(whole), np.nan)
    np.divide(part, whole, out=ratio, where=np.asarray(whole) > 0)
    return ratio
