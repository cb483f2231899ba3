"""Losses. n examples, k classes; labels are class numbers 0 .. k-1."""

from __future__ import annotations

import math
from typing import Any

from tinygrad_ckn.backend import Array, Namespace, backend_of, floating, xp_of
from tinygrad_ckn.errors import DataError, DTypeError, ShapeError
from tinygrad_ckn.graph import Variable, unwrap
from tinygrad_ckn.ops.elementwise import relu, square
from tinygrad_ckn.ops.shape import check_array
from tinygrad_ckn.ops.softmax import softmax
from tinygrad_ckn.primitive import primitive


def one_hot(labels: Any, n_classes: int, dtype: Any = "float64") -> Any:
    """Return (n, n_classes) rows that are 1 at the label and 0 elsewhere.

    Examples
    --------
    >>> one_hot(Tensor([1, 0]), 2).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    check_array("one_hot", "labels", labels)
    array = unwrap(labels)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise DTypeError(
            f"one_hot: argument labels expected integers (n,), got {array.dtype} of shape {array.shape}"
        )
    if array.size and not 0 <= int(array.min()) <= int(array.max()) < n_classes:
        raise DataError(
            f"one_hot: expected class numbers 0 .. {n_classes - 1}, got {array.min()} .. {array.max()}"
        )
    rows = _one_hot(array, n_classes, dtype)
    return rows if array is labels else Variable.wrap(rows)


def _one_hot(labels: Any, n_classes: int, dtype: Any) -> Any:
    return (labels[:, None] == xp_of(labels).arange(n_classes)).astype(dtype)


def _check_labels(op: str, argument: str, scores: Any, labels: Any) -> None:
    if (
        scores.ndim != 2
        or labels.ndim != 1
        or len(labels) != len(scores)
        or not len(labels)
        or not scores.shape[1]
    ):
        raise ShapeError(
            f"{op}: expected {argument} of shape (n, k) and labels of shape (n,) with n, k >= 1, "
            f"got {scores.shape} and {labels.shape}"
        )
    if labels.dtype.kind not in "iu":
        raise DTypeError(
            f"{op}: argument labels expected integer class numbers, got {labels.dtype}"
        )
    if backend_of(labels).asynchronous:
        # see _sound
        return
    if labels.astype("uint64").max() >= scores.shape[1]:
        # negative ones too: they become the largest
        raise DataError(
            f"{op}: argument labels expected class numbers 0 .. {scores.shape[1] - 1}, "
            f"got {labels.min()} .. {labels.max()}"
        )


def _sound(x: Any, labels: Any, n_classes: int) -> Any:
    """Return x; on a GPU, which `_check_labels` does not wait for, NaN if a label is no class number."""
    backend = backend_of(labels)
    if not backend.asynchronous:
        return x
    labels = labels.astype(
        "int64"
    )  # whose range n_classes is in; too large for it, and they become negative
    return backend.xp.where(((labels >= 0) & (labels < n_classes)).all(), x, math.nan)


@primitive(saves=True)
def cross_entropy(xp: Namespace, logits: Array, labels: Array) -> Any:
    """Return the mean over the batch of -log softmax(logits)[label].

    Parameters
    ----------
    logits
        (n, k).
    labels
        Integers (n,).

    Raises
    ------
    ShapeError, DTypeError, DataError
        If the shapes do not fit, the labels are no integers, or one is no class number
        (on a GPU the loss is NaN then).

    Examples
    --------
    >>> cross_entropy(Tensor([[0.0, 0.0]]), Tensor([1])).item()
    0.6931471805599453
    """
    _check_labels("cross_entropy", "logits", logits, labels)
    logits = floating(xp, logits)
    shifted = logits - logits.max(axis=1, keepdims=True)
    weights = xp.exp(shifted)
    total = weights.sum(axis=1, keepdims=True)
    columns = (
        labels.astype("int64") % logits.shape[1] if backend_of(labels).asynchronous else labels
    )
    at_labels = xp.arange(len(labels)), columns
    losses = xp.log(total[:, 0]) - shifted[at_labels]
    weights /= total
    weights[at_labels] -= 1
    loss = losses.sum() / len(labels)
    return _sound(loss, labels, logits.shape[1]), _sound(weights, labels, logits.shape[1])


def _cross_entropy_rule(g: Any, logits: Any, labels: Any, saved: Any) -> Any:
    if saved is None:
        k, labels = logits.shape[1], unwrap(labels)
        saved = softmax(logits) - _sound(_one_hot(labels, k, logits.dtype), labels, k)
    return saved * (g / len(labels))


cross_entropy.vjp(logits=_cross_entropy_rule)


def _signs(labels: Any, scores: Any) -> Any:
    k = scores.shape[1]
    return _sound(2 * _one_hot(labels, k, scores.dtype) - 1, labels, k)


@primitive()
def squared_hinge(xp: Namespace, scores: Array, labels: Array) -> Any:
    """Return the mean over the batch of sum over classes max(0, 1 - t s)^2 / 2, t = +1 for the label, else -1.

    Parameters
    ----------
    scores
        (n, k).
    labels
        Integers (n,).

    Raises
    ------
    ShapeError, DTypeError, DataError
        If the shapes do not fit, the labels are no integers, or one is no class number
        (on a GPU the loss is NaN then).

    Examples
    --------
    >>> squared_hinge(Tensor([[0.0, 0.0]]), Tensor([1])).item()
    1.0
    """
    _check_labels("squared_hinge", "scores", scores, labels)
    scores = floating(xp, scores)
    return 0.5 * xp.square(xp.maximum(1 - _signs(labels, scores) * scores, 0)).sum() / len(scores)


def _squared_hinge_rule(g: Any, scores: Any, labels: Any) -> Any:
    signs = _signs(unwrap(labels), scores)
    return -signs * relu(1 - signs * scores) * (g * (1 / len(scores)))


squared_hinge.vjp(scores=_squared_hinge_rule)


def mse(prediction: Any, target: Any) -> Any:
    """Return the mean over all elements of (prediction - target)^2; both of one shape.

    Raises
    ------
    ShapeError
        If the shapes differ: broadcasting here is nearly always a mistake.

    Examples
    --------
    >>> mse(Tensor([1.0, 2.0]), Tensor([1.0, 4.0])).item()
    2.0
    """
    if prediction.shape != target.shape:
        raise ShapeError(
            f"mse: expected two arrays of one shape, got {prediction.shape} and {target.shape}; reshape one"
        )
    if unwrap(prediction).dtype.kind != "f" and unwrap(target).dtype.kind != "f":
        raise DTypeError(
            f"mse: expected a floating argument, got {prediction.dtype} and {target.dtype}; use .astype"
        )
    return square(prediction - target).mean()
