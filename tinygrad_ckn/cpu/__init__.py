"""Kernels for the CPU: they replace forwards, and give what the plain ones give, sooner.

Importing this package registers them. `parallel.py` has the threads and the memory they work with.
"""

from tinygrad_ckn.cpu import ckn_map, correlate, gemm, linalg

__all__ = ["ckn_map", "correlate", "gemm", "linalg"]
