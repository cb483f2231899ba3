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
def cross_entropy(
    xp: Namespace,
    logits: Array,
    labels: Array,
    weights: Array | None = None,
    *,
    label_smoothing: float = 0.0,
) -> tuple[Array, Any]:
    """Return the mean over the examples of -log softmax(logits)[label].

    Parameters
    ----------
    logits
        Scores (n, k), n and k at least 1; integers become float64.
    labels
        Integers (n,).
    weights
        Numbers (n,) >= 0, not all 0: the mean is sum w_i L_i / sum w_i. It has no
        derivative in them. None: all examples count the same.
    label_smoothing
        In [0, 1): the loss is the cross-entropy with 1 - label_smoothing at the label
        plus label_smoothing / k at every class (C. Szegedy et al., Rethinking the
        Inception architecture, CVPR 2016, arXiv 1512.00567, section 7); default 0.

    Raises
    ------
    ShapeError
        If the shapes do not match, or n or k is 0.
    DTypeError
        If the labels are not integers.
    DataError
        If a label is not a class number, or a weight is negative or not finite, or all
        are 0. On a GPU labels and weights are not read: the loss is NaN.
    ConfigError
        If label_smoothing is not in [0, 1).

    Examples
    --------
    >>> cross_entropy(Tensor([[0.0, 0.0]]), Tensor([1])).item()
    0.6931471805599453
    """
    _check_labels("cross_entropy", "logits", logits, labels)
    if label_smoothing:
        checks.number(
            "cross_entropy",
            "label_smoothing",
            label_smoothing,
            "a number in [0, 1)",
            lambda x: 0 <= x < 1,
        )
    logits = floating(xp, logits)
    shares = _shares("cross_entropy", weights, labels, logits.dtype)
    shifted = logits - logits.max(axis=1, keepdims=True)
    p = xp.exp(shifted)
    total = p.sum(axis=1, keepdims=True)
    columns = (
        labels.astype("int64") % logits.shape[1] if backend_of(labels).asynchronous else labels
    )
    at_labels = xp.arange(len(labels)), columns
    losses = xp.log(total[:, 0]) - shifted[at_labels]
    p /= total
    k = logits.shape[1]
    if label_smoothing:
        # The mean of all scores in place of a part of that of the label.
        losses += label_smoothing * (shifted[at_labels] - shifted.mean(axis=1))
        p -= label_smoothing / k
    p[at_labels] -= 1 - label_smoothing
    loss = losses.sum() / len(labels) if shares is None else (losses * shares).sum()
    return _nan_if_invalid(loss, labels, k), _nan_if_invalid(p, labels, k)


cross_entropy.vjp(
    logits=lambda g, logits, labels, weights, label_smoothing, saved: _cross_entropy_rule(
        g, logits, labels, weights, label_smoothing, saved
    )
)


def _cross_entropy_rule(
    g: Array,
    logits: Array,
    labels: Array,
    weights: Array | None,
    label_smoothing: float,
    saved: Array | None,
) -> Array:
    # `saved` is softmax(logits) - (1 - label_smoothing) one_hot(labels) - label_smoothing / k.
    if saved is None:
        k = logits.shape[1]
        target = _one_hot(unwrap(labels), k, logits.dtype)
        if label_smoothing:
            target = (1 - label_smoothing) * target + label_smoothing / k
        saved = softmax(logits) - _nan_if_invalid(target, unwrap(labels), k)
    return saved * _factors("cross_entropy", g, labels, weights, logits.dtype)


@primitive()
def squared_hinge(
    xp: Namespace, scores: Array, labels: Array, weights: Array | None = None
) -> Array:
    """Return the mean over the examples of sum max(0, 1 - t s)^2 / 2 over the classes.

    t is +1 for the label and -1 for every other class.

    Parameters
    ----------
    scores
        s, (n, k), n and k at least 1; integers become float64.
    labels
        Integers (n,).
    weights
        As for `cross_entropy`.

    Raises
    ------
    ShapeError
        If the shapes do not match, or n or k is 0.
    DTypeError
        If the labels are not integers.
    DataError
        As for `cross_entropy`.

    Examples
    --------
    >>> squared_hinge(Tensor([[0.0, 0.0]]), Tensor([1])).item()
    1.0
    """
    _check_labels("squared_hinge", "scores", scores, labels)
    scores = floating(xp, scores)
    shares = _shares("squared_hinge", weights, labels, scores.dtype)
    squares = xp.square(xp.maximum(1 - _signs(labels, scores) * scores, 0))
    if shares is None:
        return 0.5 * squares.sum() / len(scores)
    return 0.5 * (squares.sum(axis=1) * shares).sum()


squared_hinge.vjp(
    scores=lambda g, scores, labels, weights: _squared_hinge_rule(g, scores, labels, weights)
)


def _squared_hinge_rule(g: Array, scores: Array, labels: Array, weights: Array | None) -> Array:
    signs = _signs(unwrap(labels), scores)
    slopes = -signs * relu(1 - signs * scores)
    if weights is None:
        return slopes * (g * (1 / len(scores)))
    return slopes * _factors("squared_hinge", g, labels, weights, scores.dtype)


def _signs(labels: Array, scores: Array) -> Array:
    k = scores.shape[1]
    return _nan_if_invalid(2 * _one_hot(labels, k, scores.dtype) - 1, labels, k)


def _factors(op: str, g: Array, labels: Array, weights: Array | None, dtype: DTypeLike) -> Array:
    """Return g times the share of each example in the mean: 0-d, or with weights (n, 1)."""
    if weights is None:
        return g / len(labels)
    shares: Any = _shares(op, unwrap(weights), unwrap(labels), dtype)
    return g * shares[:, None]


def _shares(op: str, weights: Array | None, labels: Array, dtype: DTypeLike) -> Array | None:
    """Return the weights over their sum, (n,); None without weights."""
    if weights is None:
        return None
    if weights.shape != labels.shape:
        raise ShapeError(
            f"{op}: argument weights expected shape {labels.shape}, one for each example, "
            f"got {weights.shape}"
        )
    w = weights.astype("float64")
    backend = backend_of(w)
    total = w.sum()
    if backend.asynchronous:
        # Reading them would block.
        total = backend.xp.where((w >= 0).all(), total, math.nan)
    elif not (bool((w >= 0).all()) and 0 < float(total) < math.inf):
        raise DataError(
            f"{op}: argument weights expected finite numbers >= 0, not all 0, got numbers from "
            f"{w.min():g} to {w.max():g}; leave out examples that are not to count"
        )
    return (w / total).astype(dtype)


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
