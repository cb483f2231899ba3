"""Spherical k-means: unit centroids that maximise the sum over points of the largest cosine.

Source: Hornik, Feinerer, Kober and Buchta, Spherical k-Means Clustering (2012); seeding: Arthur and Vassilvitskii,
k-means++ (2007), with the squared distance 2 - 2 cos of unit vectors.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tinygrad_ckn.backend import Generator, is_whole, xp_of
from tinygrad_ckn.backend import rng as generator
from tinygrad_ckn.errors import ConfigError, DataError

_BLOCK = 2**22  # similarities held at a time
_SEEDING_POINTS = 64  # candidates for each centroid at the start
_SAME = 1e-6  # 1 - cosine below which two directions count as one: rounding in float32


@dataclass
class Clustering:
    """Centroids (k, d) of norm 1, and the mean cosine of the points to theirs at the start of each iteration."""

    centroids: Any
    objective: list[float] = field(default_factory=list)


def normalised(x: Any) -> Any:
    """Return the rows of x that are not zero, scaled to norm 1.

    Raises
    ------
    DataError
        If x holds NaN or infinities.
    """
    xp = xp_of(x)
    norms = xp.sqrt((x * x).sum(axis=1, keepdims=True))
    if not bool(xp.isfinite(norms).all()):
        raise DataError("spherical_kmeans: argument x expected finite numbers, got NaN or infinity; look at the images")
    nonzero = norms[:, 0] > 0
    return x[nonzero] / norms[nonzero]


def spherical_kmeans(
    x: Any,
    n_clusters: int,
    *,
    iterations: int = 10,
    start: str = "k-means++",
    rng: Generator | int | None = None,
) -> Clustering:
    """Cluster the directions of the rows of x.

    Parameters
    ----------
    x
        (n, d), floating; zero rows are left out.
    n_clusters
        k, at most the number of distinct directions.
    iterations
        At most; it ends earlier when no point changes its cluster.
    start
        "k-means++" (on a random subset of 64 k points) or "random" (distinct points).
    rng
        Generator or seed.

    Raises
    ------
    ConfigError
        If an option is out of range.
    DataError
        If there are fewer distinct directions than clusters, or x is not finite.

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
    if start not in ("k-means++", "random"):
        raise ConfigError(f"spherical_kmeans: argument start expected 'k-means++' or 'random', got {start!r}")
    random = generator(rng)
    points = normalised(x)
    if len(points) < n_clusters:
        raise _too_few(len(points), n_clusters)
    centroids = _seed(points, n_clusters, start, random)
    result = Clustering(centroids)
    before = None
    for _ in range(iterations):
        nearest, cosines = _assign(points, result.centroids)
        result.objective.append(float(cosines.mean()))
        if before is not None and bool((nearest == before).all()):
            break
        before = nearest
        result.centroids = _update(points, nearest, cosines, n_clusters)
    return result


def _too_few(found: int, wanted: int) -> DataError:
    return DataError(
        f"spherical_kmeans: expected at least {wanted} distinct nonzero points for {wanted} clusters, got {found}; "
        "use more patches, fewer filters or more varied images"
    )


def _seed(points: Any, k: int, start: str, random: Generator) -> Any:
    """Return k distinct points."""
    xp = xp_of(points)
    count = min(len(points), k * _SEEDING_POINTS)
    candidates = points[xp.asarray(random.choice(len(points), count, replace=False))]
    chosen = [0]
    distances = xp.maximum(1 - candidates @ candidates[0], 0)
    while len(chosen) < k:
        far = distances > _SAME
        total = xp.cumsum(xp.where(far, distances, 0).astype("float64") if start == "k-means++" else far)
        if not total[-1] > 0:
            if len(candidates) == len(points):
                raise _too_few(len(chosen), k)
            seeds, candidates = candidates[xp.asarray(chosen)], points  # rare directions: look at all points
            chosen = (candidates @ seeds.T).argmax(axis=0).tolist()
            distances = xp.maximum(1 - candidates @ seeds.T, 0).min(axis=1)
            continue
        draw = random.random() * float(total[-1])
        chosen.append(min(int(xp.searchsorted(total, draw, side="right")), len(candidates) - 1))
        distances = xp.minimum(distances, xp.maximum(1 - candidates @ candidates[chosen[-1]], 0))
    return candidates[xp.asarray(chosen)].copy()


def _assign(points: Any, centroids: Any) -> tuple[Any, Any]:
    """Return for each point its nearest centroid and their cosine, in blocks."""
    xp = xp_of(points)
    nearest = xp.empty(len(points), dtype="int64")
    cosines = xp.empty(len(points), dtype=points.dtype)
    step = max(1, _BLOCK // len(centroids))
    for i in range(0, len(points), step):
        similarity = points[i : i + step] @ centroids.T
        nearest[i : i + step] = similarity.argmax(axis=1)
        cosines[i : i + step] = similarity.max(axis=1)
    return nearest, cosines


def _update(points: Any, nearest: Any, cosines: Any, k: int) -> Any:
    """Return the normalised sums of the clusters; an empty one restarts at a point that fits its centroid worst."""
    xp = xp_of(points)
    sums = xp.zeros((k, points.shape[1]), dtype=points.dtype)
    step = max(1, _BLOCK // k)
    numbers = xp.arange(k)[:, None]
    for i in range(0, len(points), step):
        sums += (numbers == nearest[i : i + step]).astype(points.dtype) @ points[i : i + step]
    norms = xp.sqrt((sums * sums).sum(axis=1))
    empty = xp.nonzero(norms <= 1e-6)[0]  # nothing in it, or directions that cancel
    if len(empty):
        worst = xp.argsort(cosines, kind="stable")[: len(empty)]
        sums[empty], norms[empty] = points[worst], 1
    return sums / norms[:, None]
