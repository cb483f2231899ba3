"""All kernels of the GPU: importing this module registers them on their primitives. CuPy is not imported by it."""

from tinygrad_ckn.cuda import ckn_map, correlate, kmeans, launch, linalg, pool, window

__all__ = ["ckn_map", "correlate", "kmeans", "launch", "linalg", "pool", "window"]
