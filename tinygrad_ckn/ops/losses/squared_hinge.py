"""The squared hinge loss. n examples, k classes; labels are class numbers 0 .. k-1."""

from __future__ import annotations

from tinygrad_ckn.backend import Array, Namespace, floating
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.ops.elementwise import relu
from tinygrad_ckn.ops.losses.labels import (
    check_labels,
    factors,
    nan_if_invalid,
    rows_of_labels,
    shares_of,
)
from tinygrad_ckn.primitive import primitive


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
    check_labels("squared_hinge", "scores", scores, labels)
    scores = floating(xp, scores)
    shares = shares_of("squared_hinge", weights, labels, scores.dtype)
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
    return slopes * factors("squared_hinge", g, labels, weights, scores.dtype)


def _signs(labels: Array, scores: Array) -> Array:
    k = scores.shape[1]
    return nan_if_invalid(2 * rows_of_labels(labels, k, scores.dtype) - 1, labels, k)
