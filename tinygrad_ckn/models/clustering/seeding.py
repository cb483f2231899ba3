"""Centroids to begin spherical k-means with: points drawn one after the other, far from those before, or given ones.

Source: Arthur and Vassilvitskii, k-means++ (2007), with the squared distance 2 - 2 cos
of unit vectors, many at a time by rejection, as in Cohen-Addad, Lattanzi, Norouzi-Fard,
Sohler and Svensson, Fast and Accurate k-means++ via Rejection Sampling (2020).
"""

from __future__ import annotations

from typing import Any

from tinygrad_ckn.backend import Generator, to_numpy, xp_of
from tinygrad_ckn.errors import ConfigError, TooFewPointsError
from tinygrad_ckn.models.clustering.assignment import SAME, assign, row_norms
from tinygrad_ckn.profiling import record_function

INITS = "k-means++", "random"
# candidates for each centroid
_POINTS = 64


def check_init(init: Any) -> None:
    """Raise a ConfigError if this is a word that is none of STARTS."""
    if isinstance(init, str) and init not in INITS:
        raise ConfigError(
            f"spherical_kmeans: argument init expected 'k-means++', 'random' or an array of centroids, got {init!r}"
        )


def too_few_points(found: int, wanted: int) -> TooFewPointsError:
    """Return the error that there are not as many directions as clusters."""
    return TooFewPointsError(
        f"spherical_kmeans: expected at least {wanted} distinct nonzero points for {wanted} clusters, got {found}; "
        "use more patches, fewer filters or more varied images",
        found,
    )


@record_function("k-means, seeding")
def initial_centroids(x: Any, scales: Any, k: int, init: Any, random: Generator) -> Any:
    """Return k centroids of norm 1: drawn as the word `init` says, or those given, checked and scaled."""
    return _drawn(x, scales, k, init, random) if isinstance(init, str) else _given(x, k, init)


def _given(x: Any, k: int, init: Any) -> Any:
    xp = xp_of(x)
    centroids = xp.array(init, dtype=x.dtype)
    if centroids.shape != (k, x.shape[1]):
        raise ConfigError(
            f"spherical_kmeans: argument init expected centroids of shape {(k, x.shape[1])}, got {centroids.shape}"
        )
    norms = row_norms(centroids)
    if not bool((xp.isfinite(norms) & (norms > 0)).all()):
        raise ConfigError(
            "spherical_kmeans: argument init expected centroids that are finite and not zero, got others; "
            "take points that are not zero"
        )
    return centroids / norms[:, None]


def _drawn(x: Any, scales: Any, k: int, init: str, random: Generator) -> Any:
    """Return k distinct points, scaled to norm 1, each drawn in proportion to its distance from those before it.

    So that distances are products of matrices, several are drawn for the distances as
    they are, and each is kept with the probability by which those before it have made
    its own distance shorter: the distribution is the same.
    """
    xp = xp_of(x)
    rows = xp.nonzero(scales > 0)[0]
    rows = rows[xp.asarray(random.choice(len(rows), min(len(rows), k * _POINTS), replace=False))]
    candidates, factors = x[rows], scales[rows]
    # (seeds, d)
    seeds = candidates[:1] * factors[:1, None]
    nearness = assign(candidates, factors, seeds, with_sums=False)[1]

    def weight(distance: Any) -> Any:
        far = distance > SAME
        return (distance * far if init == "k-means++" else far).astype("float64")

    while len(seeds) < k:
        weights = weight((1 - nearness) * (factors > 0))
        total = xp.cumsum(weights)
        if not total[-1] > 0:
            if candidates is x:
                raise too_few_points(len(seeds), k)
            # rare directions: look at all points
            candidates, factors = x, scales
            nearness = assign(x, scales, seeds, with_sums=False)[1]
            continue
        draws = random.random((2, min(len(seeds), k - len(seeds))))
        drawn = xp.searchsorted(total, xp.asarray(draws[0]) * total[-1], side="right").clip(
            0, len(total) - 1
        )
        proposed = candidates[drawn] * factors[drawn][:, None]
        distances, before = to_numpy(1 - proposed @ proposed.T), to_numpy(weights[drawn])
        kept = [0]
        for i in range(1, len(drawn)):
            now = weight(distances[i, kept].min())
            if draws[1, i] * before[i] < min(now, before[i]):
                kept.append(i)
        seeds = xp.concatenate([seeds, proposed[kept]])
        nearness = xp.maximum(
            nearness, assign(candidates, factors, proposed[kept], with_sums=False)[1]
        )
    return seeds
