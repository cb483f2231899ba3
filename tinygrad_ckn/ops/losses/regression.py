"""Losses of predicted numbers: squared error and Huber's."""

from __future__ import annotations

from typing import Any

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array
from tinygrad_ckn.errors import DTypeError, ShapeError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.ops.clip import clip
from tinygrad_ckn.ops.elementwise import square
from tinygrad_ckn.ops.losses.reduction import Reduction, check_reduction, reduced
from tinygrad_ckn.plain import plain
from tinygrad_ckn.tensor import Tensor


def mse(prediction: Array, target: Array, *, reduction: Reduction = "mean") -> Tensor:
    """Return the mean over all elements of (prediction - target)^2.

    Parameters
    ----------
    prediction, target
        Arrays of one shape, at least one of them floating.
    reduction
        "mean" (default), "sum", or "none" for the squares themselves.

    Raises
    ------
    ShapeError
        If the shapes differ: broadcasting here is nearly always a mistake. If there is
        no element to average.
    DTypeError
        If one is not an array, or neither is floating.
    ConfigError
        If the reduction is unknown.

    Examples
    --------
    >>> mse(Tensor([1.0, 2.0]), Tensor([1.0, 4.0])).item()
    2.0
    """
    check_reduction("mse", reduction)
    return reduced("mse", square(_difference("mse", prediction, target)), reduction)


def huber(
    prediction: Array, target: Array, *, delta: float = 1.0, reduction: Reduction = "mean"
) -> Tensor:
    """Return the mean of d^2 / 2 where |d| <= delta, and of delta (|d| - delta / 2) elsewhere.

    d is prediction - target. PyTorch's `huber_loss`; with delta = 1 it is `smooth_l1_loss`.
    Source: P. Huber, Robust estimation of a location parameter, Annals of Mathematical
    Statistics 35 (1964). At |d| = delta the second derivative is that of the inside.

    Parameters
    ----------
    prediction, target
        Arrays of one shape, at least one of them floating.
    delta
        Where the square ends, > 0; default 1.
    reduction
        "mean" (default), "sum", or "none" for the single losses.

    Raises
    ------
    ShapeError
        If the shapes differ, or there is no element to average.
    DTypeError
        If one is not an array, or neither is floating.
    ConfigError
        If delta is not > 0, or the reduction is unknown.

    Examples
    --------
    >>> huber(Tensor([1.0, 5.0]), Tensor([0.0, 0.0]), reduction="none").tolist()
    [0.5, 4.5]
    """
    check_reduction("huber", reduction)
    delta = plain(delta)
    checks.positive("huber", delta=delta)
    difference = _difference("huber", prediction, target)
    near = clip(difference, -delta, delta)
    return reduced("huber", near * (difference - 0.5 * near), reduction)


def _difference(op: str, prediction: Array, target: Array) -> Any:
    """Return prediction - target, both checked."""
    checks.array(op, prediction=prediction, target=target)
    if prediction.shape != target.shape:
        raise ShapeError(
            f"{op}: expected two arrays of one shape, got {prediction.shape} and {target.shape}; "
            "reshape one"
        )
    if unwrap(prediction).dtype.kind != "f" and unwrap(target).dtype.kind != "f":
        raise DTypeError(
            f"{op}: expected a floating argument, got {prediction.dtype} and {target.dtype}; "
            "use .astype"
        )
    return prediction - target
