"""A pass of spherical k-means in batches: centroids follow the points while they are read.

Source: Sculley, Web-Scale k-Means Clustering (2010): a centroid is the mean of all
points that were nearest to it so far, the learning rate of each being one over their
number. On the sphere the direction of that mean is all that counts, and that of their
sum is the same.
"""

from __future__ import annotations

from typing import Any

from tinygrad_ckn.backend import Generator, xp_of
from tinygrad_ckn.models.clustering.assignment import NO_DIRECTION, assign, row_norms
from tinygrad_ckn.profiling import record_function


@record_function("k-means, batches")
def minibatch_pass(
    x: Any, scales: Any, centroids: Any, sums: Any, batch_size: int, random: Generator
) -> tuple[Any, Any]:
    """Return the cosine of each point to its centroid when it was seen, and which clusters (k,) had any.

    Memory beyond the arguments: a batch of points (batch_size, d), a few arrays (k, d),
    and two numbers for each point.

    Parameters
    ----------
    x
        (n, d).
    scales
        (n,): what its rows are multiplied with.
    centroids
        (k, d) of norm 1, at the start.
    sums
        (k, d): of the points that were nearest to each so far; added to in place.
    batch_size
        Points after which centroids move.
    random
        Generator of the order.
    """
    xp = xp_of(x)
    rows = xp.nonzero(scales > 0)[0]
    order = rows[xp.asarray(random.permutation(len(rows)))]
    cosines = xp.zeros(len(x), dtype=x.dtype)
    met = xp.zeros(len(sums), dtype="bool")
    for i in range(0, len(order), batch_size):
        # a file is read in one direction
        batch = xp.sort(order[i : i + batch_size])
        nearest, cosines[batch], added = assign(x[batch], scales[batch], centroids)
        met[nearest] = True
        sums += added
        norms = row_norms(sums)[:, None]
        centroids = xp.where(
            norms > NO_DIRECTION, sums / xp.maximum(norms, NO_DIRECTION), centroids
        )
    return cosines, met
