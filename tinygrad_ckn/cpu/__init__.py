"""CPU kernels: faster forwards with the same results.

Importing this package registers them. `parallel.py` provides their threads and memory.
"""

from tinygrad_ckn.cpu import gemm, linalg, max_pool
from tinygrad_ckn.cpu.ckn_map import fused
from tinygrad_ckn.cpu.correlate import dispatch

__all__ = ["dispatch", "fused", "gemm", "linalg", "max_pool"]


def __dir__() -> list[str]:
    return sorted(__all__)
