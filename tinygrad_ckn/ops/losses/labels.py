"""Labels and weights, as the losses take them: one-hot rows, checks, shares.

n examples, k classes; labels are class numbers 0 .. k-1.
"""

from __future__ import annotations

import math
from typing import Any

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array, DTypeLike, asarray, backend_of, xp_of
from tinygrad_ckn.errors import DataError, DTypeError, GradientError, ShapeError
from tinygrad_ckn.graph import Variable, unwrap
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
    rows: Any = rows_of_labels(array, n_classes, dtype)
    return rows if array is labels else Variable.wrap(rows)


def rows_of_labels(labels: Array, n_classes: int, dtype: DTypeLike) -> Array:
    """Return rows (n, n_classes) that are 1 at the label, without checks; raw arrays."""
    return (labels[:, None] == xp_of(labels).arange(n_classes)).astype(dtype)


def factors(op: str, g: Array, labels: Array, weights: Array | None, dtype: DTypeLike) -> Array:
    """Return g times the share of each example in the mean: 0-d, or with weights (n, 1)."""
    if weights is None:
        return g / len(labels)
    shares: Any = shares_of(op, unwrap(weights), unwrap(labels), dtype)
    return g * shares[:, None]


def shares_of(op: str, weights: Array | None, labels: Array, dtype: DTypeLike) -> Array | None:
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


def plain_weights(op: str, argument: str, weights: Array, losses: Array) -> Any:
    """Return weights as a raw array of the dtype and on the device of the losses.

    Weights on a GPU are not read: if one is not a number >= 0, all become NaN.

    Raises
    ------
    DTypeError
        If they are not an array.
    GradientError
        If they are a tensor that requires grad: the losses have no derivative in them.
    DataError
        If one is negative or not finite.
    """
    checks.array(op, **{argument: weights})
    if isinstance(weights, Variable) and weights._requires_grad:
        raise GradientError(
            f"{op}: argument {argument} has no derivative, but got a tensor that requires grad; "
            "pass it as .detach()"
        )
    w: Any = unwrap(weights)
    backend = backend_of(w)
    valid = ((w >= 0) & (w < math.inf)).all()
    if backend.asynchronous:
        w = backend.xp.where(valid, w, math.nan)
    elif not bool(valid):
        raise DataError(
            f"{op}: argument {argument} expected finite numbers >= 0, got numbers from "
            f"{w.min():g} to {w.max():g}"
        )
    return asarray(w, dtype=losses.dtype, device=backend_of(unwrap(losses)).device)


def check_labels(
    op: str, argument: str, scores: Array, labels: Array, *, empty: bool = False
) -> None:
    """Raise unless scores are (n, k) and labels (n,) class numbers, k at least 1.

    n is at least 1, too, unless `empty`.
    """
    if (
        len(scores.shape) != 2
        or len(labels.shape) != 1
        or len(labels) != len(scores)
        or not (len(labels) or empty)
        or not scores.shape[1]
    ):
        raise ShapeError(
            f"{op}: expected {argument} of shape (n, k) and labels of shape (n,) with n, k >= 1, "
            f"got {scores.shape} and {labels.shape}"
        )
    labels = unwrap(labels)
    if labels.dtype.kind not in "iu":
        raise DTypeError(
            f"{op}: argument labels expected integer class numbers, got {labels.dtype}"
        )
    if backend_of(labels).asynchronous or not labels.size:
        # Reading labels would block; `nan_if_invalid` marks wrong ones instead.
        return
    # As unsigned integers, negative labels are larger than any class number.
    if labels.astype("uint64").max() >= scores.shape[1]:
        raise DataError(
            f"{op}: argument labels expected class numbers 0 .. {scores.shape[1] - 1}, "
            f"got {labels.min()} .. {labels.max()}"
        )


def nan_if_invalid(x: Array, labels: Array, n_classes: int) -> Array:
    """Return x; on a GPU, NaN if a label is not a class number."""
    backend = backend_of(labels)
    if not backend.asynchronous:
        return x
    # n_classes may not fit into a smaller dtype; labels beyond int64 become negative.
    labels = labels.astype("int64")
    return backend.xp.where(((labels >= 0) & (labels < n_classes)).all(), x, math.nan)


def in_range(labels: Any, n_classes: int) -> Any:
    """Return labels as an index that, on a GPU, is out of range where they are wrong."""
    backend = backend_of(labels)
    if not backend.asynchronous:
        return labels
    numbers = labels.astype("int64")
    return backend.xp.where((numbers >= 0) & (numbers < n_classes), numbers, n_classes)
