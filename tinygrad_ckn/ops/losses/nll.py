"""The negative log-likelihood of labels. n examples, k classes."""

from __future__ import annotations

from typing import Any

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array, xp_of
from tinygrad_ckn.errors import DTypeError, ShapeError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.ops.index import getitem
from tinygrad_ckn.ops.losses.labels import check_labels, in_range, plain_weights
from tinygrad_ckn.ops.losses.reduction import Reduction, check_reduction, weighted
from tinygrad_ckn.ops.reduce import sum
from tinygrad_ckn.tensor import Tensor


def nll(
    log_probabilities: Array,
    labels: Array,
    *,
    weight: Array | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Return the mean over the examples of -log_probabilities[label].

    PyTorch's `nll_loss`: after `log_softmax` it is `cross_entropy`.

    Parameters
    ----------
    log_probabilities
        (n, k), n and k at least 1, floating.
    labels
        Integers (n,).
    weight
        Of the classes, (k,), >= 0: the mean is sum_i w_label(i) L_i / sum_i w_label(i).
        None (default): all classes count the same.
    reduction
        "mean" (default), "sum", or "none" for one loss for each example, (n,). The last
        two take n = 0 as well.

    Raises
    ------
    ShapeError
        If the shapes do not match, or n or k is 0.
    DTypeError
        If log_probabilities are not floating, or the labels not integers.
    DataError
        If a label is not a class number, a weight is negative or not finite, or those of
        all labels are 0. On a GPU they are not read: the loss is NaN.
    ConfigError
        If the reduction is unknown.

    Examples
    --------
    >>> nll(Tensor([[-1.0, -2.0], [-3.0, -4.0]]), Tensor([0, 1])).item()
    2.5
    """
    check_reduction("nll", reduction)
    checks.array("nll", log_probabilities=log_probabilities, labels=labels)
    check_labels("nll", "log_probabilities", log_probabilities, labels, empty=reduction != "mean")
    if unwrap(log_probabilities).dtype.kind != "f":
        raise DTypeError(
            "nll: argument log_probabilities expected a floating dtype, "
            f"got {log_probabilities.dtype}; pass ops.log_softmax(scores)"
        )
    losses, counts = of_labels("nll", log_probabilities, labels, weight, 0.0)
    return weighted("nll", losses, counts, None, reduction)


def of_labels(
    op: str, log_p: Array, labels: Array, weight: Array | None, label_smoothing: float
) -> tuple[Tensor, Any]:
    """Return the loss of each example, (n,), and how much each counts in the mean.

    log_p are log-probabilities (n, k) and labels class numbers (n,), both checked; weight
    is that of the classes. The second result is None where all examples count the same.
    """
    k = log_p.shape[1]
    rows = xp_of(unwrap(log_p)).arange(len(log_p))
    columns = in_range(unwrap(labels), k)
    losses: Any = -getitem(log_p, (rows, columns))
    of_class: Any = of_classes(op, log_p, weight)
    counts = None
    if of_class is not None:
        counts = of_class[columns % k]
        losses = losses * counts
    if label_smoothing:
        every = log_p if of_class is None else log_p * of_class
        losses = (1 - label_smoothing) * losses - (label_smoothing / k) * sum(every, axis=1)
    return losses, counts


def of_classes(op: str, log_p: Array, weight: Array | None) -> Any:
    """Return the weights of the classes, (k,), in the dtype of log_p; None without.

    Raises
    ------
    ShapeError
        If there is not one for each class.
    DTypeError, GradientError, DataError
        As for `plain_weights`.
    """
    if weight is None:
        return None
    of_class = plain_weights(op, "weight", weight, log_p)
    if of_class.shape != (log_p.shape[1],):
        raise ShapeError(
            f"{op}: argument weight expected shape ({log_p.shape[1]},), one for each class, "
            f"got {of_class.shape}"
        )
    return of_class
