"""Errors of Nystrom features by number of filters: `python -m benchmarks.nystrom`.

The network has two layers with patches, pooling and kernel of the preset unsup-32-64,
as many filters in both layers, and float64. Filters come from k-means on the images
that are compared, the first of the embedded digits.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn import data
from tinygrad_ckn.models import CKN, CKNLayer
from tinygrad_ckn.models.exact import exact_kernel

# comparable to the smallest eigenvalues of 512 filters' Gram matrix
EPS = 1e-8
# patches for k-means, per layer
PATCHES = 5_000


def network(filters: int) -> CKN:
    """Return the network for images of 8x8 pixels, with random filters."""
    layers = [
        CKNLayer(channels, filters, 3, subsampling=2, eps=EPS, dtype="float64", rng=0)
        for channels in (1, filters)
    ]
    return CKN(1, 8, 10, layers, rng=0)


def errors(images: NDArray[Any], filters: Sequence[int]) -> dict[int, float]:
    """Return |K_nystrom - K_exact| / |K_exact| for several numbers of filters.

    Norms are Frobenius norms; images are (n, 1, 8, 8).
    """
    exact = exact_kernel(network(1), images)
    errors_by_filters = {}
    for p in filters:
        features = network(p).fit_unsupervised(images, n_patches=PATCHES, rng=0).encode(images)
        errors_by_filters[p] = float(
            np.linalg.norm(features @ features.T - exact) / np.linalg.norm(exact)
        )
    return errors_by_filters


def main(n: int = 200, filters: Sequence[int] = (16, 32, 64, 128, 256, 512)) -> None:
    """Print the table."""
    images = data.load("digits").train.images[:n]
    print(
        f"{n} digits, eps {EPS:g}: relative error of the Nystrom Gram matrix in the Frobenius norm"
    )
    print("filters    error")
    for p, error in errors(images, filters).items():
        print(f"{p:7}{100 * error:8.3f} %")


if __name__ == "__main__":
    argparse.ArgumentParser(description=str(__doc__).splitlines()[0]).parse_args()
    main()
