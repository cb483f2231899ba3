"""Five iterations of spherical k-means on 200,000 points, for both layers of unsup-64-256."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.ckn import EAGER, TUNED, natural_images
from benchmarks.suite import OURS, Case, Inputs, Settings, Side, Suite, Work

POINTS = 200_000
ITERATIONS = 5


def _inputs(layer: int, k: int) -> Inputs:
    """Return patches of a layer of unsup-64-256 on 1,000 images, and k initial centroids."""
    from tinygrad_ckn import no_grad
    from tinygrad_ckn.graph import unwrap
    from tinygrad_ckn.models import CKN, sample_patches

    rng = np.random.default_rng(0)
    images = natural_images(1000, 3, 32, rng)
    model = CKN.preset("unsup-64-256", in_channels=3, image_size=32, n_classes=10, rng=rng)
    model.fit_unsupervised(images[:64], n_patches=512, iterations=2, rng=rng)

    def encode(x: Any) -> Any:
        with no_grad():
            return unwrap(model.layers[0](x))

    points = sample_patches(
        images, model.layers[layer], POINTS, rng=rng, encode=encode if layer else None
    )
    return {"points": points, "start": points[rng.choice(len(points), k, replace=False)]}


def _ours(inputs: Inputs, device: str) -> Work:
    from tinygrad_ckn.backend import synchronize, to_numpy, use
    from tinygrad_ckn.models import Clustering, spherical_kmeans

    points, start = (use(device).xp.asarray(inputs[name]) for name in ("points", "start"))

    def step() -> Clustering:
        clustering = spherical_kmeans(points, len(start), iterations=ITERATIONS, init=start)
        synchronize(device)
        return clustering

    def outputs() -> dict[str, object]:
        clustering = step()
        return {
            "centroids": to_numpy(clustering.centroids),
            "objective": np.array(clustering.objective),
        }

    return Work(step, outputs)


def _torch(inputs: Inputs, device: str, *, dtype: str = "float32") -> Work:
    import torch

    from benchmarks.peers.torch_kmeans import spherical_kmeans

    kind = {"float32": torch.float32, "float64": torch.float64}[dtype]
    points, start = (
        torch.from_numpy(inputs[name]).to(device, kind) for name in ("points", "start")
    )

    def step() -> tuple[torch.Tensor, list[float]]:
        # Its last mean waits for all work on the GPU except one product.
        return spherical_kmeans(points, start, ITERATIONS)

    def outputs() -> dict[str, object]:
        centroids, objective = step()
        return {"centroids": centroids.cpu().numpy(), "objective": np.array(objective)}

    return Work(step, outputs)


def _cases(_: Settings) -> Sequence[Case]:
    side = functools.partial(Side, make=_torch, imports=("torch", "benchmarks.peers.torch_kmeans"))
    return [
        Case(
            f"k-means, {POINTS:,} x {d} -> {k}, {ITERATIONS} iterations",
            [
                Side(OURS, _ours, imports=("tinygrad_ckn.models",)),
                side(TUNED, tuned_malloc=True),
                side(EAGER),
            ],
            functools.partial(_inputs, layer, k),
            # A point equally near to two centroids, up to rounding, may be assigned
            # to either and moves both by its share of the cluster, 1e-4 to 1e-2. In
            # float32 this concerns a few of 200,000; the other centroids are exact.
            tolerances={"centroids": 1e-5, "objective": 1e-6},
            outliers={"centroids": 0.05},
            reference=side("torch in float64", tuned_malloc=True, options={"dtype": "float64"}),
            targets={TUNED: target},
            rounds=5,
            steps=1,
        )
        for layer, (d, k, target) in enumerate(((27, 64, 0.35), (576, 256, 0.80)))
    ]


SUITE = Suite("kmeans", "spherical k-means, 200,000 x 27 -> 64 and x 576 -> 256", _cases)
