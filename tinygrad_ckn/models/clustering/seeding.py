"""Initial centroids of spherical k-means: k-means++, random points, or given ones.

Source: Arthur and Vassilvitskii, k-means++ (2007), with the squared distance 2 - 2 cos of
unit vectors; several are drawn at a time by rejection, as in Cohen-Addad, Lattanzi,
Norouzi-Fard, Sohler and Svensson, Fast and Accurate k-means++ via Rejection Sampling
(2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, get_args

from tinygrad_ckn.backend import Generator, NDArray, to_numpy, xp_of
from tinygrad_ckn.errors import ConfigError, TooFewPointsError
from tinygrad_ckn.models.clustering.assignment import SAME, assign, row_norms
from tinygrad_ckn.profiling import record_function

Init: TypeAlias = Literal["k-means++", "random"]
Centroids: TypeAlias = NDArray[Any] | Sequence[Sequence[float]]
# Candidate points per centroid.
_CANDIDATES = 64


def check_init(init: object) -> None:
    """Raise a ConfigError if `init` is an unknown string."""
    if isinstance(init, str) and init not in get_args(Init):
        raise ConfigError(
            "spherical_kmeans: argument init expected 'k-means++', 'random' or an array of "
            f"centroids, got {init!r}"
        )


def too_few_points(n_distinct: int, n_clusters: int) -> TooFewPointsError:
    """Return the error for fewer distinct directions than clusters."""
    return TooFewPointsError(
        f"spherical_kmeans: expected at least {n_clusters} distinct nonzero points for "
        f"{n_clusters} clusters, got {n_distinct}; use more patches, fewer filters or more varied "
        "images",
        n_distinct,
    )


@record_function("k-means, seeding")
def initial_centroids(
    x: NDArray[Any], scales: NDArray[Any], k: int, init: Init | Centroids, rng: Generator
) -> NDArray[Any]:
    """Return k centroids of norm 1: drawn from the points, or the given ones, scaled.

    Raises
    ------
    ConfigError
        If given centroids have another shape, or one is zero or not finite.
    TooFewPointsError
        If there are fewer than k distinct directions.
    """
    if isinstance(init, str):
        return _draw_centroids(x, scales, k, init, rng)
    xp = xp_of(x)
    centroids = xp.array(init, dtype=x.dtype)
    if centroids.shape != (k, x.shape[1]):
        raise ConfigError(
            f"spherical_kmeans: argument init expected centroids of shape {(k, x.shape[1])}, "
            f"got {centroids.shape}"
        )
    norms = row_norms(centroids)
    if not bool((xp.isfinite(norms) & (norms > 0)).all()):
        raise ConfigError(
            "spherical_kmeans: argument init expected finite nonzero centroids, got others; "
            "use nonzero points"
        )
    scaled: NDArray[Any] = centroids / norms[:, None]
    return scaled


def _draw_centroids(
    x: NDArray[Any], scales: NDArray[Any], k: int, init: Init, rng: Generator
) -> NDArray[Any]:
    """Return k distinct points, scaled to norm 1.

    For "k-means++" each is drawn with probability proportional to its distance from those
    before it. So that distances are products of matrices, several are drawn at a time from
    the current distances, and each is accepted with the probability by which those before
    it in the batch have shortened its distance: the distribution is the same.
    """
    xp = xp_of(x)
    rows = xp.nonzero(scales > 0)[0]
    size = min(len(rows), k * _CANDIDATES)
    rows = rows[xp.asarray(rng.choice(len(rows), size, replace=False))]
    candidates = x[rows]
    factors = scales[rows]
    # (seeds, d)
    seeds = candidates[:1] * factors[:1, None]
    nearness = assign(candidates, factors, seeds, with_sums=False)[1]
    while len(seeds) < k:
        weights = _weight((1 - nearness) * (factors > 0), init)
        total = xp.cumsum(weights)
        if not total[-1] > 0:
            if candidates is x:
                raise too_few_points(len(seeds), k)
            # The candidates lack rare directions: consider all points.
            candidates = x
            factors = scales
            nearness = assign(x, scales, seeds, with_sums=False)[1]
            continue
        draws = rng.random((2, min(len(seeds), k - len(seeds))))
        drawn = xp.searchsorted(total, xp.asarray(draws[0]) * total[-1], side="right")
        drawn = drawn.clip(0, len(total) - 1)
        proposed = candidates[drawn] * factors[drawn][:, None]
        accepted = proposed[_accept(proposed, weights[drawn], draws[1], init)]
        seeds = xp.concatenate([seeds, accepted])
        nearness = xp.maximum(nearness, assign(candidates, factors, accepted, with_sums=False)[1])
    return seeds


def _accept(
    proposed: NDArray[Any], weights: NDArray[Any], draws: NDArray[Any], init: Init
) -> list[int]:
    """Return the indices of the proposed seeds that are accepted, the first among them.

    `weights` are those they were drawn by, `draws` uniform random numbers.
    """
    distances = to_numpy(1 - proposed @ proposed.T)
    before = to_numpy(weights)
    accepted = [0]
    for i in range(1, len(proposed)):
        now = _weight(distances[i, accepted].min(), init)
        if draws[i] * before[i] < min(now, before[i]):
            accepted.append(i)
    return accepted


def _weight(distance: Any, init: Init) -> Any:
    """Return the probability, up to a factor, of drawing points at a distance of the seeds."""
    distinct = distance > SAME
    return (distance * distinct if init == "k-means++" else distinct).astype("float64")
