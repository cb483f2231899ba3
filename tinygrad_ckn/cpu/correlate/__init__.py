"""Algorithms of correlate2d for the CPU.

`unfold`, `winograd`, `toeplitz`, `fft` and `direct` hold one algorithm each: `forward`
and the two adjoints. `dispatch` chooses among them; `regions` and `recompute` are
shared by them.
"""
