"""Spherical k-means: unit centroids that maximise the sum of each point's largest cosine.

Source: Hornik, Feinerer, Kober and Buchta, Spherical k-Means Clustering (2012).
`seeding.py` chooses initial centroids, `minibatch.py` has the iterations in batches.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Generator, NDArray, default_rng, xp_of
from tinygrad_ckn.models.clustering.assignment import (
    NO_DIRECTION,
    SAME,
    assign,
    row_norms,
    row_scales,
)
from tinygrad_ckn.models.clustering.minibatch import minibatch_pass
from tinygrad_ckn.models.clustering.seeding import (
    Centroids,
    Init,
    check_init,
    initial_centroids,
    too_few_points,
)
from tinygrad_ckn.plain import plain_arguments
from tinygrad_ckn.profiling import record_function


@dataclass
class Clustering:
    """The result of `spherical_kmeans`.

    Attributes
    ----------
    centroids : array
        (k, d), of norm 1.
    objective : list of float
        The mean cosine of points and their centroids in each iteration. In full passes it
        is that of the centroids at the start of the iteration, and never decreases except
        by rounding. In mini-batches each point counts with its centroid at that time.
    """

    centroids: NDArray[Any]
    objective: list[float] = field(default_factory=list)


@record_function("k-means, other")
@plain_arguments
def spherical_kmeans(
    x: NDArray[Any],
    n_clusters: int,
    *,
    iterations: int = 10,
    batch_size: int | None = None,
    init: Init | Centroids = "k-means++",
    rng: Generator | int | None = None,
    report: Callable[[int, float], None] = lambda iteration, objective: None,
) -> Clustering:
    """Cluster the directions of the rows of x, without copying x.

    Parameters
    ----------
    x : array
        (n, d), floating; in memory or in a file (numpy.memmap). Zero rows are ignored.
    n_clusters : int
        k, at most the number of distinct directions.
    iterations : int, default 10
        Maximum number of passes over all points. Full passes stop early when no point
        changes its cluster and no cluster is empty.
    batch_size : int or None, default None
        None: centroids move after each pass, to the mean directions of their clusters. A
        number: they move after each batch of that many points, which each pass draws
        without replacement (mini-batch k-means).
    init : "k-means++", "random" or array, default "k-means++"
        "k-means++" (on a random subset of 64 points per centroid), "random" (distinct
        points), or centroids (k, d), whose norms do not matter.
    rng : Generator, int or None, default None
        Generator or seed. None: the package's generator, see `manual_seed`.
    report : callable, optional
        Called as report(iteration, mean_cosine) after each iteration, from 1.

    Raises
    ------
    ConfigError
        If an option is out of range.
    ShapeError, DTypeError
        If x does not have two axes, or is not floating.
    TooFewPointsError
        If there are fewer distinct directions than clusters; its `found` is their number.
    DataError
        If x is not finite.

    Examples
    --------
    >>> points = np.array([[2.0, 0.0], [0.0, 3.0], [1.0, 0.1], [0.0, 0.0]])
    >>> sorted(spherical_kmeans(points, 2).centroids.round(2).tolist())
    [[0.0, 1.0], [1.0, 0.05]]
    """
    _check_options(n_clusters, iterations, batch_size, init)
    generator = default_rng(rng)
    scales, n_nonzero = row_scales(x)
    if n_nonzero < n_clusters:
        raise too_few_points(n_nonzero, n_clusters)
    result = Clustering(initial_centroids(x, scales, n_clusters, init, generator))
    # In mini-batches each initial centroid counts as a point.
    sums = result.centroids.copy()
    nonzero = scales > 0
    previous = None
    for iteration in range(1, iterations + 1):
        nearest = None
        centroids = result.centroids
        if batch_size is None:
            nearest, cosines, sums = assign(x, scales, centroids)
            occupied = xp_of(x).bincount(nearest[nonzero], minlength=n_clusters) > 0
        else:
            cosines, occupied = minibatch_pass(x, scales, centroids, sums, batch_size, generator)
        result.objective.append(float(cosines[nonzero].mean(dtype="float64")))
        report(iteration, result.objective[-1])
        unchanged = nearest is not None and previous is not None and (nearest == previous).all()
        if unchanged and occupied.all():
            break
        previous = nearest
        if not occupied.all() and cosines[nonzero].min() >= 1 - SAME:
            # All points coincide with their centroids.
            raise too_few_points(int(occupied.sum()), n_clusters)
        result.centroids = _update(x, scales, cosines, sums, occupied)
    return result


def _check_options(n_clusters: int, iterations: int, batch_size: int | None, init: object) -> None:
    checks.integers("spherical_kmeans", n_clusters=n_clusters, iterations=iterations)
    checks.integers("spherical_kmeans", or_none=True, batch_size=batch_size)
    check_init(init)


@record_function("k-means, update")
def _update(
    x: NDArray[Any],
    scales: NDArray[Any],
    cosines: NDArray[Any],
    sums: NDArray[Any],
    occupied: NDArray[Any],
) -> NDArray[Any]:
    """Return the normalised sums of the clusters, updating `sums` in place.

    An empty cluster restarts at the point with the smallest cosine to its centroid. The
    objective does not decrease: of all directions a sum's own has the largest product with
    it, an empty cluster has no points to lose, and one whose directions cancel has a sum
    so short that its products hardly differ.
    """
    xp = xp_of(x)
    norms = row_norms(sums)
    empty = xp.nonzero(~occupied | (norms <= NO_DIRECTION))[0]
    if len(empty):
        worst = xp.argsort(xp.where(scales > 0, cosines, 2), kind="stable")[: len(empty)]
        sums[empty] = x[worst] * scales[worst][:, None]
        norms[empty] = 1
    return sums / norms[:, None]
