"""One pass of mini-batch spherical k-means.

Source: Sculley, Web-Scale k-Means Clustering (2010): a centroid is the mean of all points
assigned to it so far, which gives it a learning rate of one over their number. On the
sphere only the direction of the mean matters, which is that of the sum.
"""

from __future__ import annotations

from typing import Any

from tinygrad_ckn.backend import Generator, NDArray, xp_of
from tinygrad_ckn.chunks import slices
from tinygrad_ckn.models.clustering.assignment import NO_DIRECTION, assign, row_norms
from tinygrad_ckn.profiling import record_function


@record_function("k-means, batches")
def minibatch_pass(
    x: NDArray[Any],
    scales: NDArray[Any],
    centroids: NDArray[Any],
    sums: NDArray[Any],
    batch_size: int,
    rng: Generator,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Pass over all nonzero points in random batches.

    Memory beyond the arguments: a batch of points (batch_size, d), a few arrays (k, d),
    and two numbers for each point.

    Parameters
    ----------
    x, scales
        (n, d) and (n,): points are the scaled rows.
    centroids
        (k, d) of norm 1, at the start.
    sums
        (k, d): sums of the points assigned to each centroid so far, updated in place.
    batch_size
        Number of points after which centroids move.
    rng
        Generator of the order.

    Returns
    -------
    cosines
        (n,): the cosine of each point and its centroid when it was assigned.
    occupied
        (k,): whether any point was assigned to the centroid.
    """
    xp = xp_of(x)
    rows = xp.nonzero(scales > 0)[0]
    order = rows[xp.asarray(rng.permutation(len(rows)))]
    cosines = xp.zeros(len(x), dtype=x.dtype)
    occupied = xp.zeros(len(sums), dtype="bool")
    for chosen in slices(len(order), batch_size):
        # Ascending, so that a file is read in one direction.
        batch = xp.sort(order[chosen])
        nearest, cosines[batch], added = assign(x[batch], scales[batch], centroids)
        occupied[nearest] = True
        sums += added
        norms = row_norms(sums)[:, None]
        directions = sums / xp.maximum(norms, NO_DIRECTION)
        centroids = xp.where(norms > NO_DIRECTION, directions, centroids)
    return cosines, occupied
