"""Spherical k-means: unit centroids that maximise the sum over points of the largest cosine.

Source: Hornik, Feinerer, Kober and Buchta, Spherical k-Means Clustering (2012); seeding: Arthur and Vassilvitskii,
k-means++ (2007), with the squared distance 2 - 2 cos of unit vectors, many at a time by rejection, as in Cohen-Addad,
Lattanzi, Norouzi-Fard, Sohler and Svensson, Fast and Accurate k-means++ via Rejection Sampling (2020).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tinygrad_ckn.backend import CPU, Generator, backend_of, is_whole, to_numpy, xp_of
from tinygrad_ckn.backend import rng as generator
from tinygrad_ckn.cpu import kmeans as cpu
from tinygrad_ckn.errors import ConfigError, DataError, TooFewPointsError

_BLOCK = 2**22  # similarities held at a time where they are not cut into tiles
_SEEDING_POINTS = 64  # candidates for each centroid at the start
_SAME = 1e-6  # 1 - cosine below which two directions count as one: rounding in float32


@dataclass
class Clustering:
    """Centroids (k, d) of norm 1, and the mean cosine of the points to theirs at the start of each iteration."""

    centroids: Any
    objective: list[float] = field(default_factory=list)


def spherical_kmeans(
    x: Any,
    n_clusters: int,
    *,
    iterations: int = 10,
    start: Any = "k-means++",
    rng: Generator | int | None = None,
) -> Clustering:
    """Cluster the directions of the rows of x, of which no copy is made.

    Parameters
    ----------
    x
        (n, d), floating; zero rows are left out.
    n_clusters
        k, at most the number of distinct directions.
    iterations
        At most; it ends earlier when no point changes its cluster.
    start
        "k-means++" (on a random subset of 64 k points), "random" (distinct points), or an array (k, d) of centroids,
        whose lengths do not count.
    rng
        Generator or seed.

    Raises
    ------
    ConfigError
        If an option is out of range.
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
            "spherical_kmeans: expected n_clusters and iterations as whole numbers >= 1, "
            f"got {n_clusters!r} and {iterations!r}"
        )
    if isinstance(start, str) and start not in ("k-means++", "random"):
        raise ConfigError(
            f"spherical_kmeans: argument start expected 'k-means++', 'random' or an array of centroids, got {start!r}"
        )
    random = generator(rng)
    scales, count = _scales(x)
    if count < n_clusters:
        raise _too_few(count, n_clusters)
    centroids = _seed(x, scales, n_clusters, start, random) if isinstance(start, str) else _given(x, n_clusters, start)
    result = Clustering(centroids)
    before = None
    for _ in range(iterations):
        nearest, cosines, sums = _assign(x, scales, result.centroids)
        result.objective.append(float((cosines if count == len(x) else cosines[scales > 0]).mean()))
        if before is not None and bool((nearest == before).all()):
            break
        before = nearest
        result.centroids = _update(x, scales, cosines, sums)
    return result


def _scales(x: Any) -> tuple[Any, int]:
    """Return what the rows of x are multiplied with to have norm 1, 0 for zero rows, and the number of the others."""
    xp = xp_of(x)
    norms = cpu.norms(x) if _tiled(x) else xp.sqrt((x * x).sum(axis=1))
    if not bool(xp.isfinite(norms).all()):
        raise DataError("spherical_kmeans: argument x expected finite numbers, got NaN or infinity; look at the images")
    nonzero = norms > 0
    return nonzero / xp.where(nonzero, norms, 1), int(nonzero.sum())


def _tiled(x: Any) -> bool:
    return backend_of(x) is CPU and x.dtype in ("float32", "float64")


def _too_few(found: int, wanted: int) -> TooFewPointsError:
    return TooFewPointsError(
        f"spherical_kmeans: expected at least {wanted} distinct nonzero points for {wanted} clusters, got {found}; "
        "use more patches, fewer filters or more varied images",
        found,
    )


def _given(x: Any, k: int, start: Any) -> Any:
    """Return the centroids to start from, checked and scaled to norm 1."""
    xp = xp_of(x)
    centroids = xp.array(start, dtype=x.dtype)
    if centroids.shape != (k, x.shape[1]):
        raise ConfigError(
            f"spherical_kmeans: argument start expected centroids of shape {(k, x.shape[1])}, got {centroids.shape}"
        )
    norms = xp.sqrt((centroids * centroids).sum(axis=1, keepdims=True))
    if not bool((xp.isfinite(norms) & (norms > 0)).all()):
        raise ConfigError(
            "spherical_kmeans: argument start expected centroids that are finite and not zero, got others; "
            "take points that are not zero"
        )
    return centroids / norms


def _seed(x: Any, scales: Any, k: int, start: str, random: Generator) -> Any:
    """Return k distinct points, scaled to norm 1, each drawn in proportion to its distance from those before it.

    So that distances are products of matrices, several are drawn for the distances as they are, and each is kept with
    the probability by which those before it have made its own distance shorter: the distribution is the same.
    """
    xp = xp_of(x)
    rows = xp.nonzero(scales > 0)[0]
    rows = rows[xp.asarray(random.choice(len(rows), min(len(rows), k * _SEEDING_POINTS), replace=False))]
    candidates, factors = x[rows], scales[rows]
    seeds = candidates[:1] * factors[:1, None]  # (seeds, d)
    nearness = _assign(candidates, factors, seeds, with_sums=False)[1]

    def weight(distance: Any) -> Any:
        far = distance > _SAME
        return (distance * far if start == "k-means++" else far).astype("float64")

    while len(seeds) < k:
        weights = weight((1 - nearness) * (factors > 0))
        total = xp.cumsum(weights)
        if not total[-1] > 0:
            if candidates is x:
                raise _too_few(len(seeds), k)
            candidates, factors = x, scales  # rare directions: look at all points
            nearness = _assign(x, scales, seeds, with_sums=False)[1]
            continue
        draws = random.random((2, min(len(seeds), k - len(seeds))))
        drawn = xp.searchsorted(total, xp.asarray(draws[0]) * total[-1], side="right").clip(0, len(total) - 1)
        proposed = candidates[drawn] * factors[drawn][:, None]
        distances, before = to_numpy(1 - proposed @ proposed.T), to_numpy(weights[drawn])
        kept = [0]
        for i in range(1, len(drawn)):
            now = weight(distances[i, kept].min())
            if draws[1, i] * before[i] < min(now, before[i]):
                kept.append(i)
        seeds = xp.concatenate([seeds, proposed[kept]])
        nearness = xp.maximum(nearness, _assign(candidates, factors, proposed[kept], with_sums=False)[1])
    return seeds


def _assign(x: Any, scales: Any, centroids: Any, with_sums: bool = True) -> tuple[Any, Any, Any]:
    """Return for each point its nearest centroid and their cosine, and the sums of the clusters."""
    if _tiled(x):
        return cpu.assign(x, scales, centroids, with_sums)
    xp = xp_of(x)
    nearest = xp.empty(len(x), dtype="int64")
    cosines = xp.empty(len(x), dtype=x.dtype)
    sums = xp.zeros(centroids.shape, dtype=x.dtype)
    numbers = xp.arange(len(centroids))[:, None]
    step = max(1, _BLOCK // len(centroids))
    for i in range(0, len(x), step):
        points = x[i : i + step] * scales[i : i + step, None]
        similarity = points @ centroids.T
        nearest[i : i + step] = similarity.argmax(axis=1)
        cosines[i : i + step] = similarity.max(axis=1)
        if with_sums:
            sums += (numbers == nearest[i : i + step]).astype(x.dtype) @ points
    return nearest, cosines, sums


def _update(x: Any, scales: Any, cosines: Any, sums: Any) -> Any:
    """Return the normalised sums of the clusters; an empty one restarts at a point that fits its centroid worst."""
    xp = xp_of(x)
    norms = xp.sqrt((sums * sums).sum(axis=1))
    empty = xp.nonzero(norms <= 1e-6)[0]  # nothing in it, or directions that cancel
    if len(empty):
        worst = xp.argsort(xp.where(scales > 0, cosines, 2), kind="stable")[: len(empty)]
        sums[empty], norms[empty] = x[worst] * scales[worst][:, None], 1
    return sums / norms[:, None]
