"""Cross-entropy of scores and labels or probabilities. n examples, k classes."""

from __future__ import annotations

from typing import Any

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array, Namespace, backend_of, floating
from tinygrad_ckn.errors import DataError, DTypeError, ShapeError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.ops.losses.labels import (
    check_labels,
    factors,
    nan_if_invalid,
    rows_of_labels,
    shares_of,
)
from tinygrad_ckn.ops.losses.nll import of_classes, of_labels
from tinygrad_ckn.ops.losses.reduction import Reduction, check_reduction, weighted
from tinygrad_ckn.ops.softmax import log_softmax, softmax
from tinygrad_ckn.plain import plain
from tinygrad_ckn.primitive import primitive
from tinygrad_ckn.tensor import Tensor


def cross_entropy(
    logits: Array,
    labels: Array,
    weights: Array | None = None,
    *,
    weight: Array | None = None,
    label_smoothing: float = 0.0,
    reduction: Reduction = "mean",
) -> Tensor:
    """Return the mean over the examples of -log softmax(logits)[label].

    Parameters
    ----------
    logits
        Scores (n, k), n and k at least 1; integers become float64.
    labels
        Integers (n,); or floating probabilities (n, k) >= 0, whose rows should sum to 1:
        the loss L_i of example i is then -sum_c t_ic log softmax(logits)_ic.
    weights
        Of the examples, (n,), >= 0, not all 0: the mean is sum w_i L_i / sum w_i. It has
        no derivative in them. None: all examples count the same.
    weight
        Of the classes, (k,), >= 0, as PyTorch's: each term of L_i is multiplied by that of
        its class, and with labels the mean is divided by the sum of those of the labels
        (with probabilities, by n). None (default): all classes count the same.
    label_smoothing
        In [0, 1): the loss is the cross-entropy with 1 - label_smoothing at the label
        plus label_smoothing / k at every class (C. Szegedy et al., Rethinking the
        Inception architecture, CVPR 2016, arXiv 1512.00567, section 7); default 0.
    reduction
        "mean" (default), "sum", or "none" for one loss for each example, (n,). The last
        two take n = 0 as well.

    Raises
    ------
    ShapeError
        If the shapes do not match, or n or k is 0.
    DTypeError
        If the labels are neither integers nor floating probabilities.
    DataError
        If a label is not a class number, a probability is negative, or a weight is
        negative or not finite, or all that count are 0. On a GPU they are not read: the
        loss is NaN.
    ConfigError
        If label_smoothing is not in [0, 1), or the reduction is unknown.

    Examples
    --------
    >>> cross_entropy(Tensor([[0.0, 0.0]]), Tensor([1])).item()
    0.6931471805599453
    >>> cross_entropy(Tensor([[0.0, 0.0]]), Tensor([[0.5, 0.5]]), reduction="sum").item()
    0.6931471805599453
    """
    check_reduction("cross_entropy", reduction)
    if label_smoothing:
        label_smoothing = checks.number(
            "cross_entropy",
            "label_smoothing",
            plain(label_smoothing),
            "a number in [0, 1)",
            lambda x: 0 <= x < 1,
        )
    soft = len(getattr(labels, "shape", ())) == 2
    if not soft and weight is None and reduction == "mean":
        return _mean_cross_entropy(logits, labels, weights, label_smoothing=label_smoothing)
    checks.array("cross_entropy", logits=logits, labels=labels)
    if soft:
        _check_probabilities(logits, labels)
        losses, counts = _of_probabilities(logits, labels, weight, label_smoothing)
    else:
        check_labels("cross_entropy", "logits", logits, labels, empty=reduction != "mean")
        losses, counts = of_labels(
            "cross_entropy", log_softmax(logits), labels, weight, label_smoothing
        )
    return weighted("cross_entropy", losses, counts, weights, reduction)


def _of_probabilities(
    logits: Array, targets: Array, weight: Array | None, label_smoothing: float
) -> tuple[Tensor, None]:
    """Return the loss of each example, (n,); the mean counts all of them the same."""
    log_p: Any = log_softmax(logits)
    target = targets.astype(log_p.dtype)
    if label_smoothing:
        target = (1 - label_smoothing) * target + label_smoothing / log_p.shape[1]
    of_class = of_classes("cross_entropy", log_p, weight)
    if of_class is not None:
        target = target * of_class
    return -(target * log_p).sum(axis=1), None


def _check_probabilities(logits: Array, targets: Array) -> None:
    """Raise unless logits and probabilities have one shape (n, k), and none is negative."""
    if logits.shape != targets.shape or not logits.shape[1]:
        raise ShapeError(
            "cross_entropy: expected logits (n, k) and labels (n,) or probabilities (n, k) with "
            f"k >= 1, got {logits.shape} and {targets.shape}"
        )
    array = unwrap(targets)
    if array.dtype.kind != "f":
        raise DTypeError(
            "cross_entropy: argument labels expected floating probabilities (n, k) or integer "
            f"class numbers (n,), got {array.dtype} of shape {array.shape}; use .astype for "
            "one-hot rows"
        )
    if not backend_of(array).asynchronous and array.size and not float(array.min()) >= 0:
        raise DataError(
            "cross_entropy: argument labels expected probabilities >= 0, "
            f"got numbers from {array.min():g}; pass them through softmax first"
        )


@primitive(name="cross_entropy", saves=True)
def _mean_cross_entropy(
    xp: Namespace,
    logits: Array,
    labels: Array,
    weights: Array | None = None,
    *,
    label_smoothing: float = 0.0,
) -> tuple[Array, Any]:
    """Return the mean for class numbers, in one pass; see `cross_entropy`."""
    check_labels("cross_entropy", "logits", logits, labels)
    logits = floating(xp, logits)
    shares = shares_of("cross_entropy", weights, labels, logits.dtype)
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
    return nan_if_invalid(loss, labels, k), nan_if_invalid(p, labels, k)


_mean_cross_entropy.vjp(
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
        target = rows_of_labels(unwrap(labels), k, logits.dtype)
        if label_smoothing:
            target = (1 - label_smoothing) * target + label_smoothing / k
        saved = softmax(logits) - nan_if_invalid(target, unwrap(labels), k)
    return saved * factors("cross_entropy", g, labels, weights, logits.dtype)
