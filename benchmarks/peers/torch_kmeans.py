"""Idiomatic spherical k-means in PyTorch: matmul, max, index_add_, normalise."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def spherical_kmeans(x: Tensor, start: Tensor, iterations: int) -> tuple[Tensor, list[float]]:
    """Return centroids (k, d), and the mean cosine of x (n, d) at the start of each iteration."""
    points = functional.normalize(x)
    centroids = functional.normalize(start)
    objective = []
    for _ in range(iterations):
        cosines, nearest = (points @ centroids.T).max(dim=1)
        objective.append(cosines.mean().item())
        centroids = functional.normalize(torch.zeros_like(centroids).index_add_(0, nearest, points))
    return centroids, objective
