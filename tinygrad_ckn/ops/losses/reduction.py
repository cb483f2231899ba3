"""The mean or the sum of the losses of single examples, or all of them."""

from __future__ import annotations

from typing import Literal, TypeAlias

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array, backend_of
from tinygrad_ckn.errors import DataError, ShapeError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.ops.losses.labels import plain_weights
from tinygrad_ckn.ops.reduce import mean, sum
from tinygrad_ckn.tensor import Tensor

Reduction: TypeAlias = Literal["mean", "sum", "none"]


def check_reduction(op: str, reduction: str, *more: str) -> None:
    """Raise a ConfigError unless a reduction is "mean", "sum", "none" or one of `more`."""
    checks.one_of(op, ("mean", "sum", "none", *more), reduction=reduction)


def reduced(op: str, losses: Tensor, reduction: str) -> Tensor:
    """Return the mean or the sum of losses, or the losses themselves."""
    if reduction == "none":
        return losses
    if reduction == "sum":
        return sum(losses)
    if not losses.size:
        raise ShapeError(
            f"{op}: expected at least one element for reduction='mean', got shape "
            f"{tuple(losses.shape)}; leave out empty batches, or pass reduction='sum'"
        )
    return mean(losses)


def weighted(
    op: str, losses: Tensor, counts: Array | None, weights: Array | None, reduction: str
) -> Tensor:
    """Return losses multiplied by the weights of their examples, and reduced.

    Parameters
    ----------
    op
        Operation that error messages name.
    losses
        (n,).
    counts
        How much each counts in the mean, (n,), apart from the weights; None: the same.
    weights
        Of the examples, (n,); None: all the same.
    reduction
        "mean" divides by the sum of counts times weights.

    Raises
    ------
    ShapeError
        If weights have another shape, or nothing is averaged.
    DataError
        If a weight is negative or not finite, or the mean has no example that counts.
    """
    if weights is not None:
        share = plain_weights(op, "weights", weights, losses)
        if share.shape != losses.shape:
            raise ShapeError(
                f"{op}: argument weights expected shape {losses.shape}, one for each example, "
                f"got {share.shape}"
            )
        losses = losses * share
        counts = share if counts is None else counts * share
    if reduction != "mean" or counts is None:
        return reduced(op, losses, reduction)
    total = sum(counts)
    if not backend_of(unwrap(total)).asynchronous and not float(unwrap(total)) > 0:
        raise DataError(
            f"{op}: expected weights with a sum > 0 over the examples, got {unwrap(total):g}; "
            "give the classes that occur a weight"
        )
    return sum(losses) / total
