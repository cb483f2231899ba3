"""Losses of predicted probabilities: binary cross-entropy, Kullback-Leibler divergence."""

from __future__ import annotations

from typing import Any, Literal

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array, Namespace, backend_of
from tinygrad_ckn.errors import DataError, DTypeError, ShapeError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.ops.elementwise import exp, log, softplus
from tinygrad_ckn.ops.losses.labels import plain_weights
from tinygrad_ckn.ops.losses.reduction import Reduction, check_reduction, reduced
from tinygrad_ckn.ops.reduce import sum
from tinygrad_ckn.primitive import primitive
from tinygrad_ckn.tensor import Tensor


def bce_with_logits(
    logits: Array,
    target: Array,
    *,
    weight: Array | None = None,
    pos_weight: Array | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Return the mean of -t log s(x) - (1 - t) log (1 - s(x)), with s the logistic function.

    PyTorch's `binary_cross_entropy_with_logits`, accurate for large |x| too.

    Parameters
    ----------
    logits
        x, any shape, floating.
    target
        t in [0, 1], of the same shape: floating, integers or booleans.
    weight
        Factors >= 0 of the single losses, of a shape that broadcasts to that of logits. The
        mean is divided by the number of elements all the same. None (default): 1.
    pos_weight
        Factors >= 0 of the terms with t, of a shape that broadcasts to that of logits: of
        (n, k) usually (k,), the ratio of negative to positive examples. None (default): 1.
    reduction
        "mean" (default), "sum", or "none" for the single losses.

    Raises
    ------
    ShapeError
        If the shapes do not match, or there is no element to average.
    DTypeError
        If an argument is not an array, or logits are not floating.
    DataError
        If a target is not in [0, 1], or a weight is negative or not finite. On a GPU they
        are not read.
    ConfigError
        If the reduction is unknown.

    Examples
    --------
    >>> bce_with_logits(Tensor([0.0, 1000.0]), Tensor([1, 1]), reduction="none").tolist()
    [0.6931471805599453, 0.0]
    """
    op = "bce_with_logits"
    check_reduction(op, reduction)
    x = _checked_pair(op, "logits", logits, target)
    t: Any = target.astype(x.dtype)
    _check_fractions(op, unwrap(target))
    positive: Any = t * softplus(-x)
    if pos_weight is not None:
        positive = positive * _factor(op, "pos_weight", pos_weight, x)
    losses = positive + (1 - t) * softplus(x)
    if weight is not None:
        losses = losses * _factor(op, "weight", weight, x)
    return reduced(op, losses, reduction)


def kl_div(
    log_probabilities: Array,
    target: Array,
    *,
    log_target: bool = False,
    reduction: Literal["mean", "batchmean", "sum", "none"] = "mean",
) -> Tensor:
    """Return the mean over all elements of p (log p - log_probabilities).

    The terms of the Kullback-Leibler divergence of the prediction from p: PyTorch's
    `kl_div`, with its order of arguments and its "mean". Terms with p = 0 are 0. For the
    divergence itself, a sum over classes, pass reduction="batchmean".

    Parameters
    ----------
    log_probabilities
        Logarithms of the predicted probabilities, any shape, floating.
    target
        p >= 0, of the same shape; a negative one gives NaN.
    log_target
        Whether `target` is log p; default False.
    reduction
        "mean" (default) over all elements, "batchmean": the sum over the length of the
        first axis, "sum", or "none" for the terms.

    Raises
    ------
    ShapeError
        If the shapes differ, or nothing is averaged.
    DTypeError
        If an argument is not an array, or log_probabilities are not floating.
    ConfigError
        If the reduction is unknown.

    Examples
    --------
    >>> uniform = Tensor([[-0.5, -1.0]])
    >>> kl_div(uniform, Tensor([[1.0, 0.0]]), reduction="batchmean").item()
    0.5
    """
    check_reduction("kl_div", reduction, "batchmean")
    log_q = _checked_pair("kl_div", "log_probabilities", log_probabilities, target)
    p: Any = target.astype(log_q.dtype)
    terms = exp(p) * (p - log_q) if log_target else xlogx(p) - p * log_q
    if reduction != "batchmean":
        return reduced("kl_div", terms, reduction)
    if not terms.shape or not terms.shape[0]:
        raise ShapeError(
            "kl_div: expected at least one row for reduction='batchmean', got shape "
            f"{tuple(terms.shape)}; pass reduction='sum'"
        )
    return sum(terms) / terms.shape[0]


@primitive()
def xlogx(xp: Namespace, x: Array) -> Array:
    """Return x log x, 0 at 0 and NaN below; its derivative at 0 is -inf."""
    return xp.where(x == 0, 0, x * xp.log(xp.where(x == 0, 1, x)))


xlogx.vjp(x=lambda g, x: g * (log(x) + 1))


def _checked_pair(op: str, argument: str, prediction: Array, target: Array) -> Any:
    """Return a floating prediction whose target has its shape."""
    checks.array(op, **{argument: prediction, "target": target})
    if prediction.shape != target.shape:
        raise ShapeError(
            f"{op}: expected {argument} and target of one shape, got {prediction.shape} and "
            f"{target.shape}; reshape one"
        )
    if unwrap(prediction).dtype.kind != "f":
        raise DTypeError(
            f"{op}: argument {argument} expected a floating dtype, got {prediction.dtype}; "
            "use .astype"
        )
    return prediction


def _check_fractions(op: str, target: Any) -> None:
    """Raise a DataError unless all targets are in [0, 1]; on a GPU they are not read."""
    if backend_of(target).asynchronous or not target.size:
        return
    low, high = float(target.min()), float(target.max())
    if not (low >= 0 and high <= 1):
        raise DataError(
            f"{op}: argument target expected numbers in [0, 1], got {low:g} .. {high:g}; "
            "for labels -1 and 1 pass (labels + 1) / 2"
        )


def _factor(op: str, argument: str, factor: Array, x: Any) -> Any:
    """Return factors in the dtype of x, that broadcast to its shape."""
    raw = plain_weights(op, argument, factor, x)
    shape = raw.shape
    ends = zip(reversed(shape), reversed(x.shape), strict=False)
    if len(shape) > len(x.shape) or any(n not in (1, m) for n, m in ends):
        raise ShapeError(
            f"{op}: argument {argument} expected a shape that broadcasts to {tuple(x.shape)}, "
            f"got {shape}"
        )
    return raw
