"""Kernels for the CPU: they replace forwards, and give what the plain ones give, sooner.

Importing this package registers them. `parallel.py` has the threads and the memory they
work with.
"""

from tinygrad_ckn.cpu import gemm, linalg
from tinygrad_ckn.cpu.ckn_map import fused
from tinygrad_ckn.cpu.correlate import dispatch

__all__ = ["dispatch", "fused", "gemm", "linalg"]
