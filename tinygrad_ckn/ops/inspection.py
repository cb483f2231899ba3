"""Devices, dtypes and capabilities of the namespace, as the Array API standard asks."""

from __future__ import annotations

from typing import Any

from tinygrad_ckn.backend import DType, use
from tinygrad_ckn.errors import BackendError
from tinygrad_ckn.ops.data_types import DTYPES, isdtype


class NamespaceInfo:
    """Devices, dtypes and capabilities of the operations.

    Examples
    --------
    >>> NamespaceInfo().default_device()
    'cpu'
    """

    def capabilities(self) -> dict[str, Any]:
        """Return which optional parts of the standard are there."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> str:
        """Return the device of new Tensors."""
        return "cpu"

    def default_dtypes(self, *, device: str | None = None) -> dict[str, DType]:
        """Return the dtypes of new Tensors by kind; complex ones do not exist."""
        return {
            "real floating": DTYPES["float64"],
            "integral": DTYPES["int64"],
            "indexing": DTYPES["int64"],
        }

    def devices(self) -> list[str]:
        """Return the devices at hand."""
        try:
            return ["cpu", use("cuda").device]
        except BackendError:
            return ["cpu"]

    def dtypes(
        self, *, device: str | None = None, kind: str | tuple[str, ...] | None = None
    ) -> dict[str, DType]:
        """Return the dtypes of a kind by name; default: all."""
        return {
            name: dtype for name, dtype in DTYPES.items() if kind is None or isdtype(dtype, kind)
        }


def array_namespace_info() -> NamespaceInfo:
    """Return what the namespace can do.

    Examples
    --------
    >>> array_namespace_info().default_dtypes()["integral"].name
    'int64'
    """
    return NamespaceInfo()
