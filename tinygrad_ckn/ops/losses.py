"""Losses. n examples, k classes; labels are class numbers 0 .. k-1."""

from __future__ import annotations

import math
from typing import Any

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array, DTypeLike, Namespace, backend_of, floating, xp_of
from tinygrad_ckn.errors import DataError, DTypeError, ShapeError
from tinygrad_ckn.graph import Variable, unwrap
from tinygrad_ckn.ops.elementwise import relu, square
from tinygrad_ckn.ops.softmax import softmax
from tinygrad_ckn.primitive import primitive
from tinygrad_ckn.tensor import Tensor


def one_hot(labels: Array, n_classes: int, dtype: DTypeLike = "float64") -> Tensor:
    """Return rows (n, n_classes) that are 1 at the label and 0 elsewhere.

    Parameters
    ----------
    labels
        Integers (n,) from 0 to n_classes - 1.
    n_classes
        Number of columns.
    dtype
        Of the result; default float64.

    Raises
    ------
    DTypeError
        If the labels are not an array of integers with one axis.
    DataError
        If a label is negative, or n_classes or more.

    Examples
    --------
    >>> one_hot(Tensor([1, 0]), 2).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    checks.array("one_hot", labels=labels)
    array = unwrap(labels)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise DTypeError(
            f"one_hot: argument labels expected integers (n,), got {array.dtype} "
            f"of shape {array.shape}"
        )
    if array.size and not 0 <= int(array.min()) <= int(array.max()) < n_classes:
        raise DataError(
            f"one_hot: expected class numbers 0 .. {n_classes - 1}, "
            f"got {array.min()} .. {array.max()}"
        )
    rows: Any = _one_hot(array, n_classes, dtype)
    return rows if array is labels else Variable.wrap(rows)


def _one_hot(labels: Array, n_classes: int, dtype: DTypeLike) -> Array:
    return (labels[:, None] == xp_of(labels).arange(n_classes)).astype(dtype)


@primitive(saves=True)
def cross_entropy(xp: Namespace, logits: Array, labels: Array) -> tuple[Array, Any]:
    """Return the mean over the examples of -log softmax(logits)[label].

    Parameters
    ----------
    logits
        Scores (n, k), n and k at least 1; integers become float64.
    labels
        Integers (n,).

    Raises
    ------
    ShapeError
        If the shapes do not match, or n or k is 0.
    DTypeError
        If the labels are not integers.
    DataError
        If a label is not a class number. On a GPU labels are not read: the loss is NaN.

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
    k = logits.shape[1]
    return _nan_if_invalid(loss, labels, k), _nan_if_invalid(weights, labels, k)


cross_entropy.vjp(
    logits=lambda g, logits, labels, saved: _cross_entropy_rule(g, logits, labels, saved)
)


def _cross_entropy_rule(g: Array, logits: Array, labels: Array, saved: Array | None) -> Array:
    # `saved` is softmax(logits) - one_hot(labels).
    if saved is None:
        k = logits.shape[1]
        labels = unwrap(labels)
        saved = softmax(logits) - _nan_if_invalid(_one_hot(labels, k, logits.dtype), labels, k)
    return saved * (g / len(labels))


@primitive()
def squared_hinge(xp: Namespace, scores: Array, labels: Array) -> Array:
    """Return the mean over the examples of sum max(0, 1 - t s)^2 / 2 over the classes.

    t is +1 for the label and -1 for every other class.

    Parameters
    ----------
    scores
        s, (n, k), n and k at least 1; integers become float64.
    labels
        Integers (n,).

    Raises
    ------
    ShapeError
        If the shapes do not match, or n or k is 0.
    DTypeError
        If the labels are not integers.
    DataError
        If a label is not a class number. On a GPU labels are not read: the loss is NaN.

    Examples
    --------
    >>> squared_hinge(Tensor([[0.0, 0.0]]), Tensor([1])).item()
    1.0
    """
    _check_labels("squared_hinge", "scores", scores, labels)
    scores = floating(xp, scores)
    return 0.5 * xp.square(xp.maximum(1 - _signs(labels, scores) * scores, 0)).sum() / len(scores)


squared_hinge.vjp(scores=lambda g, scores, labels: _squared_hinge_rule(g, scores, labels))


def _squared_hinge_rule(g: Array, scores: Array, labels: Array) -> Array:
    signs = _signs(unwrap(labels), scores)
    return -signs * relu(1 - signs * scores) * (g * (1 / len(scores)))


def _signs(labels: Array, scores: Array) -> Array:
    k = scores.shape[1]
    return _nan_if_invalid(2 * _one_hot(labels, k, scores.dtype) - 1, labels, k)


def mse(prediction: Array, target: Array) -> Tensor:
    """Return the mean over all elements of (prediction - target)^2.

    Parameters
    ----------
    prediction, target
        Arrays of one shape, at least one of them floating.

    Raises
    ------
    ShapeError
        If the shapes differ: broadcasting here is nearly always a mistake.
    DTypeError
        If one is not an array, or neither is floating.

    Examples
    --------
    >>> mse(Tensor([1.0, 2.0]), Tensor([1.0, 4.0])).item()
    2.0
    """
    checks.array("mse", prediction=prediction, target=target)
    if prediction.shape != target.shape:
        raise ShapeError(
            f"mse: expected two arrays of one shape, got {prediction.shape} and {target.shape}; "
            "reshape one"
        )
    if unwrap(prediction).dtype.kind != "f" and unwrap(target).dtype.kind != "f":
        raise DTypeError(
            f"mse: expected a floating argument, got {prediction.dtype} and {target.dtype}; "
            "use .astype"
        )
    return square(prediction - target).mean()


def _check_labels(op: str, argument: str, scores: Array, labels: Array) -> None:
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
        # Reading labels would block; `_nan_if_invalid` marks wrong ones instead.
        return
    # As unsigned integers, negative labels are larger than any class number.
    if labels.astype("uint64").max() >= scores.shape[1]:
        raise DataError(
            f"{op}: argument labels expected class numbers 0 .. {scores.shape[1] - 1}, "
            f"got {labels.min()} .. {labels.max()}"
        )


def _nan_if_invalid(x: Array, labels: Array, n_classes: int) -> Array:
    """Return x; on a GPU, NaN if a label is not a class number."""
    backend = backend_of(labels)
    if not backend.asynchronous:
        return x
    # n_classes may not fit into a smaller dtype; labels beyond int64 become negative.
    labels = labels.astype("int64")
    return backend.xp.where(((labels >= 0) & (labels < n_classes)).all(), x, math.nan)
