"""Types in annotations: arrays of any backend, their shapes, dtypes and axes."""

from __future__ import annotations

from collections.abc import Sequence
from types import EllipsisType
from typing import TYPE_CHECKING, Annotated, Any, SupportsIndex, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = [
    "Array",
    "Axis",
    "DType",
    "DTypeLike",
    "Generator",
    "Images",
    "Index",
    "Labels",
    "NDArray",
    "Namespace",
    "Shape",
    "Vectors",
]

if TYPE_CHECKING:
    # through the package's face: this file depends on nothing above it
    from tinygrad_ckn import Tensor

    Array: TypeAlias = NDArray[Any] | Tensor
    IndexPart: TypeAlias = SupportsIndex | slice | EllipsisType | Array | list[Any] | None
    Index: TypeAlias = IndexPart | tuple[IndexPart, ...]
else:
    # what `signature.py` recognises operands and indices by
    Array = Annotated[Any, "an array of any backend, or a Tensor"]
    Index = Annotated[Any, "an index as in NumPy, in which arrays may be Tensors"]

# Arrays of any backend, or Tensors: (N, C, H, W), (N,) and (N, d).
Images: TypeAlias = Array
Vectors: TypeAlias = Array
Labels: TypeAlias = Array | Sequence[int] | Sequence[str]
# numpy or cupy
Namespace: TypeAlias = Any
Shape: TypeAlias = tuple[int, ...]
Axis: TypeAlias = int | tuple[int, ...] | None
DType: TypeAlias = np.dtype[Any]
Generator: TypeAlias = np.random.Generator
