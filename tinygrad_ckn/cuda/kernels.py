"""All GPU kernels: importing this module registers them on their primitives.

It does not import CuPy.
"""

from tinygrad_ckn.cuda import ckn_map, correlate, kmeans, launch, linalg, pool, window

__all__ = ["ckn_map", "correlate", "kmeans", "launch", "linalg", "pool", "window"]
