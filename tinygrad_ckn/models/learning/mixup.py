"""Mixup: training on convex combinations of two images and their losses.

Source: H. Zhang, M. Cisse, Y. Dauphin and D. Lopez-Paz, mixup: beyond empirical risk
minimization, ICLR 2018, arXiv 1710.09412.
"""

from __future__ import annotations

from typing import Any

from tinygrad_ckn.backend import Generator, NDArray, xp_of
from tinygrad_ckn.models.learning.objective import Target


def mix(
    batch: NDArray[Any], target: Target, alpha: float, rng: Generator
) -> tuple[NDArray[Any], tuple[Target, Target]]:
    """Mix each image of a batch with another one, all in the same proportion.

    The proportion s is drawn from Beta(alpha, alpha), and the partners by a permutation;
    the loss is s times that of the labels plus 1 - s times that of the partners' labels.

    Parameters
    ----------
    batch : array
        Images (n, C, H, W).
    target : Target
        Of the images.
    alpha : float
        > 0. Small values leave nearly all images as they are; with 1 the proportion is
        uniform.
    rng : Generator
        Of the proportion, then of the permutation.

    Returns
    -------
    batch, targets
        A new array, and the targets of the images and of their partners.

    Examples
    --------
    >>> from tinygrad_ckn.backend import default_rng
    >>> batch, targets = mix(np.eye(2), Target(np.array([3, 5])), 1.0, default_rng(10))
    >>> [(target.labels.tolist(), round(target.share, 2)) for target in targets]
    [([3, 5], 0.85), ([5, 3], 0.15)]
    >>> batch.round(2)
    array([[0.85, 0.15],
           [0.15, 0.85]])
    """
    share = float(rng.beta(alpha, alpha))
    partners = xp_of(batch).asarray(rng.permutation(len(batch)))
    # Python's numbers keep the dtype.
    mixed = share * batch + (1 - share) * batch[partners]
    weights = None if target.weights is None else target.weights[partners]
    return mixed, (
        target._replace(share=share),
        Target(target.labels[partners], weights, 1 - share),
    )
