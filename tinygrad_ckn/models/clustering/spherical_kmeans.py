"""Spherical k-means: unit centroids that maximise the sum over points of the largest cosine.

Source: Hornik, Feinerer, Kober and Buchta, Spherical k-Means Clustering (2012).
`seeding.py` says where it starts, `minibatch.py` how it goes on in batches.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tinygrad_ckn.backend import Generator, default_rng, is_whole, xp_of
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.models.clustering.assignment import (
    NO_DIRECTION,
    SAME,
    assign,
    row_norms,
    row_scales,
)
from tinygrad_ckn.models.clustering.minibatch import minibatch_pass
from tinygrad_ckn.models.clustering.seeding import check_init, initial_centroids, too_few_points
from tinygrad_ckn.plain import plain_arguments
from tinygrad_ckn.profiling import record_function


@dataclass
class Clustering:
    """Centroids (k, d) of norm 1, and the mean cosine of the points to theirs in each iteration.

    In a full pass that is the objective for the centroids at its start, and never
    decreases but for rounding; in batches each point counts with the centroids as they
    were when it was seen.
    """

    centroids: Any
    objective: list[float] = field(default_factory=list)


@record_function("k-means, other")
@plain_arguments
def spherical_kmeans(
    x: Any,
    n_clusters: int,
    *,
    iterations: int = 10,
    batch_size: int | None = None,
    init: Any = "k-means++",
    rng: Generator | int | None = None,
    report: Callable[[int, float], None] = lambda iteration, objective: None,
) -> Clustering:
    """Cluster the directions of the rows of x, of which no copy is made.

    Parameters
    ----------
    x
        (n, d), floating; in memory or in a file (numpy.memmap); zero rows are left out.
    n_clusters
        k, at most the number of distinct directions.
    iterations
        Passes over all points. Full passes end earlier when no point changes its
        cluster and no cluster is empty.
    batch_size
        None: centroids move after each pass, to the mean directions of their clusters.
        A number: they move after each batch of so many points, which each pass draws
        without replacement (mini-batch k-means).
    init
        "k-means++" (on a random subset of 64 points for each centroid), "random"
        (distinct points), or an array (k, d) of centroids, whose lengths do not count.
    rng
        Generator or seed; None: the package's, see `manual_seed`.
    report
        Called after each iteration with its number, from 1, and its mean cosine.

    Raises
    ------
    ConfigError
        If an option is out of range.
    ShapeError, DTypeError
        If x has not two axes, or is not floating.
    TooFewPointsError
        If there are fewer distinct directions than clusters; its `found` says how many.
    DataError
        If x is not finite.

    Examples
    --------
    >>> points = np.array([[2.0, 0.0], [0.0, 3.0], [1.0, 0.1], [0.0, 0.0]])
    >>> sorted(spherical_kmeans(points, 2).centroids.round(2).tolist())
    [[0.0, 1.0], [1.0, 0.05]]
    """
    if not (is_whole(n_clusters, 1) and is_whole(iterations, 1)):
        raise ConfigError(
            "spherical_kmeans: expected n_clusters and iterations as integers >= 1, "
            f"got {n_clusters!r} and {iterations!r}"
        )
    if batch_size is not None and not is_whole(batch_size, 1):
        raise ConfigError(
            f"spherical_kmeans: argument batch_size expected an integer >= 1 or None, got {batch_size!r}"
        )
    check_init(init)
    random = default_rng(rng)
    scales, count = row_scales(x)
    if count < n_clusters:
        raise too_few_points(count, n_clusters)
    result = Clustering(initial_centroids(x, scales, n_clusters, init, random))
    # in batches: each initial centroid counts as a point
    sums = result.centroids.copy()
    nonzero = scales > 0
    before = None
    for iteration in range(1, iterations + 1):
        settled = False
        if batch_size is None:
            nearest, cosines, sums = assign(x, scales, result.centroids)
            met = xp_of(x).bincount(nearest[nonzero], minlength=n_clusters) > 0
            settled = before is not None and bool((nearest == before).all() & met.all())
            before = nearest
        else:
            cosines, met = minibatch_pass(x, scales, result.centroids, sums, batch_size, random)
        result.objective.append(float(cosines[nonzero].mean(dtype="float64")))
        report(iteration, result.objective[-1])
        if settled:
            break
        if not met.all() and cosines[nonzero].min() >= 1 - SAME:
            # all points are where their centroids are
            raise too_few_points(int(met.sum()), n_clusters)
        result.centroids = _update(x, scales, cosines, sums, met)
    return result


@record_function("k-means, update")
def _update(x: Any, scales: Any, cosines: Any, sums: Any, met: Any) -> Any:
    """Return the normalised sums of the clusters; an empty one restarts at a point that fits its centroid worst.

    The objective does not decrease: of all directions, a sum's own has the largest
    product with it; an empty cluster has no points to lose, and one whose directions
    cancel has a sum so short that its products hardly differ.
    """
    xp = xp_of(x)
    norms = row_norms(sums)
    empty = xp.nonzero(~met | (norms <= NO_DIRECTION))[0]
    if len(empty):
        worst = xp.argsort(xp.where(scales > 0, cosines, 2), kind="stable")[: len(empty)]
        sums[empty], norms[empty] = x[worst] * scales[worst][:, None], 1
    return sums / norms[:, None]
