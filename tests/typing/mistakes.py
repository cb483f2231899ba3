"""Mistakes that type checkers must find, one per line marked `# error`; see tests/test_types.py."""

from tinygrad_ckn import Tensor, ops

t = Tensor([1.0, 2.0])
ops.exp("text")  # error
ops.exp([1.0, 2.0])  # error
number: int = ops.exp(t)  # error
ops.sum(t, axes=0)  # error
ops.correlate2d(t, t, padding="valed")  # error
t + "text"  # error
t.sum(axis="rows")  # error
Tensor(1.0, requires_gradient=True)  # error
