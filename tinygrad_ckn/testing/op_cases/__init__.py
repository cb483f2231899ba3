"""The cases of all operations in `tinygrad_ckn.ops`, one topic per file."""

from tinygrad_ckn.testing.cases import CASES
from tinygrad_ckn.testing.op_cases import (
    decompositions,
    elementwise,
    kernels,
    linalg,
    losses,
    modules,
    pooling,
    products,
    reductions,
    shape,
    windows,
)

__all__ = ["CHECKED"]

# imported for their cases
assert all(
    (
        decompositions,
        elementwise,
        kernels,
        linalg,
        losses,
        modules,
        pooling,
        products,
        reductions,
        shape,
        windows,
    )
)

CHECKED = tuple(CASES)


def __dir__() -> list[str]:
    return sorted(__all__)
