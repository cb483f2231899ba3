"""A Tensor's values as NumPy arrays and Python numbers, without its graph."""

from __future__ import annotations

from typing import Any, Self

from tinygrad_ckn.backend import DTypeLike, NDArray, backend_of, to_numpy
from tinygrad_ckn.errors import DTypeError, GradientError, OpIndexError, ShapeError
from tinygrad_ckn.graph import Variable


class TensorValues(Variable):
    """The part of a Tensor that reads its values; what would drop the graph is refused."""

    __slots__ = ()

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(self._data.size)

    @property
    def device(self) -> str:
        """Where the array is: "cpu" or "cuda"."""
        return backend_of(self._data).device

    def numpy(self) -> NDArray[Any]:
        """Return the values as a NumPy array: a read-only view on the CPU, a copy from a GPU."""
        array = to_numpy(self._data).view()
        array.flags.writeable = False
        return array

    def item(self, *index: int) -> float:
        """Return one element as a Python number: the only one, or that at `index`."""
        if not index and self.size != 1:
            raise ShapeError(
                f"Tensor.item: expected a tensor of one element, got shape {self.shape}; pass "
                "an index"
            )
        try:
            flat = self._data.reshape(-1) if len(index) <= 1 else self._data
            value: float = flat[index or 0].item()
            return value
        except (IndexError, ValueError) as error:
            raise OpIndexError(
                f"Tensor.item: expected an index into shape {self.shape}, got {index}"
            ) from error

    def tolist(self) -> Any:
        """Return the values as nested Python lists."""
        return self._data.tolist()

    def __index__(self) -> int:
        """Return the only element of an integer tensor, for use as an index."""
        if self.dtype.kind not in "iu":
            raise DTypeError(
                f"index: expected an integer tensor, got {self.dtype}; use .astype('int64')"
            )
        return int(self.item())

    def __format__(self, spec: str) -> str:
        """Format the only element (`f"{loss:.3f}"`), or show the tensor without a format."""
        return format(self.item(), spec) if spec else repr(self)

    def __bool__(self) -> bool:
        """Return the truth of the only element."""
        if self.size != 1:
            raise ShapeError(
                f"bool(t): expected a tensor of one element, got shape {self.shape}; use (t > "
                "0).any() or .all()"
            )
        return bool(self.item())

    def __float__(self) -> float:
        """Return the only element; refused where that would drop the graph."""
        return float(self._without_graph("float(t)").item())

    def __int__(self) -> int:
        """Return the only element; refused where that would drop the graph."""
        return int(self._without_graph("int(t)").item())

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """Return the values for NumPy; refused if that drops the graph or copies from a GPU."""
        if self.device != "cpu":
            raise GradientError(
                "np.asarray(t): the tensor is on a GPU; use t.numpy(), which copies it to the host"
            )
        array = self._without_graph("np.asarray(t)").numpy()
        if dtype is None or dtype == array.dtype:
            return array.copy() if copy else array
        if copy is False:
            raise ShapeError(
                f"np.array(t, dtype={dtype}, copy=False): expected the tensor's dtype "
                f"{array.dtype}, for another one "
                "needs a copy; use np.asarray(t, dtype=...)"
            )
        return array.astype(dtype)

    def _without_graph(self, operation: str) -> Self:
        if self._requires_grad:
            raise GradientError(
                f"{operation}: the tensor requires grad, and a number has no graph; "
                "use t.item() or t.numpy() for the value, or t.detach() first"
            )
        return self

    def __complex__(self) -> complex:
        """Return the only element; refused where that would drop the graph."""
        return complex(self._without_graph("complex(t)").item())

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """Export the memory (DLPack); refused where that would drop the graph."""
        options = {"max_version": max_version, "dl_device": dl_device, "copy": copy}
        given = {name: value for name, value in options.items() if value is not None}
        array = self._without_graph("from_dlpack(t)")._data
        return array.__dlpack__(stream=stream, **given)

    def __dlpack_device__(self) -> Any:
        """Return the device of the memory (DLPack)."""
        return self._data.__dlpack_device__()
