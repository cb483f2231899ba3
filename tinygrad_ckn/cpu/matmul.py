"""The matrix product on the threads of the pool."""

from __future__ import annotations

from typing import Any

from tinygrad_ckn import parallel
from tinygrad_ckn.backend import Namespace
from tinygrad_ckn.ops.matmul import matmul


@matmul.kernel("cpu")
def _matmul(xp: Namespace, a: Any, b: Any) -> Any:
    return parallel.matmul(a, b)
