"""Tensor: an array, its gradient, and its history; `ops` attaches the operators."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, SupportsIndex

from tinygrad_ckn.backend import (
    Array,
    Axis,
    DTypeLike,
    Index,
    NDArray,
    asarray,
    backend_of,
    to_numpy,
)
from tinygrad_ckn.backward import backpropagate
from tinygrad_ckn.drawing import summary
from tinygrad_ckn.errors import DTypeError, GradientError, OpIndexError, ShapeError
from tinygrad_ckn.gradient import as_tensor, initial_gradient
from tinygrad_ckn.graph import Variable
from tinygrad_ckn.primitive import REGISTRY

# several threads may share a leaf
_accumulating = threading.Lock()


class Tensor(Variable):
    """An n-dimensional array that remembers how it was computed.

    Parameters
    ----------
    data
        Numbers, nested sequences, or an array of any backend; copied.
    requires_grad
        Whether operations on it are recorded, so that `backward()` fills `.grad`.
        Floating dtypes only.
    dtype
        As for NumPy; default: that of `data` (Python floats become float64).
    device
        "cpu" (NumPy) or "cuda" (CuPy); default: the device of the data, the CPU for
        numbers and lists.

    Raises
    ------
    DTypeError
        If the data are not real numbers, or integers or booleans are to require grad.
    BackendError
        If the device is unknown or unavailable.

    Examples
    --------
    >>> w = Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> w.grad.numpy()
    array([[2., 4.],
           [6., 8.]])
    """

    __slots__ = ("_grad",)
    __array_priority__ = 1000
    _grad: Tensor | None

    def __init__(
        self,
        data: object,
        *,
        requires_grad: bool = False,
        dtype: DTypeLike | None = None,
        device: str | None = None,
    ) -> None:
        self._data = asarray(
            data._data if isinstance(data, Variable) else data, dtype=dtype, device=device
        )
        self._node = None
        self._version = [0]
        self._grad = None
        self._requires_grad = False
        self.requires_grad = requires_grad

    @property
    def data(self) -> Any:
        """The backend's array.

        Assigning (`t.data = a`, `t.data -= a`) is noticed: a backward through a result
        that retained the old values raises. What is assigned is copied. Writing into
        the array (`t.data[0] = 1`) cannot be noticed, and makes such a gradient wrong.
        """
        return self._data

    @data.setter
    def data(self, value: Any) -> None:
        # t.data -= a
        if value is self._data:
            self._version[0] += 1
            return
        backend = backend_of(self._data)
        array: Any = value._data if isinstance(value, Variable) else value
        same = type(array) is backend.array_type
        self.set_data(
            array.copy("K") if same else asarray(array, dtype=self.dtype, device=backend.device)
        )

    def set_data(self, value: Any) -> None:
        """Assign `data` without a copy.

        For an array of the same backend that nothing else will write into.

        Raises
        ------
        ShapeError
            If it has another shape or dtype.
        """
        backend = backend_of(self._data)
        value = (
            value if type(value) is backend.array_type else backend.xp.asarray(value)
        )  # NumPy's scalars
        if value.shape != self.shape or value.dtype != self.dtype:
            raise ShapeError(
                f"Tensor.data: expected an array of shape {self.shape} and dtype {self.dtype}, "
                f"got shape {value.shape} and dtype {value.dtype}; make a new Tensor for "
                "another shape or dtype"
            )
        self._version[0] += 1
        if not backend.xp.may_share_memory(value, self._data):
            # views of the old memory go their own way
            self._version = self._version[:]
        self._data = value

    @property
    def version(self) -> int:
        """How often `data` was assigned."""
        return self._version[0]

    @property
    def requires_grad(self) -> bool:
        """Whether operations on this tensor are recorded; assignable on leaves."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if value and self.dtype.kind != "f":
            raise DTypeError(
                f"Tensor: requires_grad expected a floating dtype, got {self.dtype}; pass "
                "dtype='float64' or 'float32'"
            )
        if self._node is not None and not value:
            raise GradientError(
                f"Tensor: requires_grad is fixed for the result of {self._node.name!r}; use "
                ".detach()"
            )
        self._requires_grad = bool(value)

    @property
    def grad(self) -> Tensor | None:
        """Gradient accumulated by `backward()`; None before, and always for results."""
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None and (not isinstance(value, Variable) or value.shape != self.shape):
            got = f"shape {value.shape}" if isinstance(value, Variable) else type(value).__name__
            raise ShapeError(
                f"Tensor.grad: expected None or a Tensor of shape {self.shape}, got {got}"
            )
        self._grad = value

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded operation made this tensor."""
        return self._node is None

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

    def backward(
        self,
        gradient: Array | float | None = None,
        *,
        retain_graph: bool = False,
        create_graph: bool = False,
    ) -> None:
        """Add the gradient of sum(self * gradient) to the `.grad` of every leaf it depends on.

        Parameters
        ----------
        gradient
            Array or Tensor of this tensor's shape. Default: one, for a tensor of one
            element.
        retain_graph
            Keep what the graph retains, for another backward through it.
        create_graph
            Record this computation too, so that the `.grad`s can be differentiated. A
            `.grad` then refers to the leaf it hangs on; set it to None to break that
            cycle, or use `grad()`, which makes none.

        Raises
        ------
        GradientError
            If nothing here requires grad, this is no scalar and `gradient` is missing,
            the graph was freed, or a tensor that a rule needs was assigned new data in
            between.
        """
        start = initial_gradient(self, gradient, create_graph)
        results = backpropagate(
            [(self.vertex, start)],
            create_graph=create_graph,
            retain_graph=retain_graph or create_graph,
        )
        with _accumulating:
            for leaf, value in results.items():
                if not isinstance(leaf, Tensor):
                    continue
                new = _own(as_tensor(value)) if create_graph else as_tensor(value)
                if leaf._grad is None:
                    leaf._grad = new
                else:
                    leaf._grad = (
                        leaf._grad + new
                        if create_graph
                        else as_tensor(leaf._grad._data + new._data)
                    )

    def detach(self) -> Tensor:
        """Return a tensor with the same memory and no history."""
        return Variable.wrap(self._data, None, self._version)

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

    def to(self, device: str) -> Tensor:
        """Return this tensor on a device: itself, or a copy through which gradients flow back."""
        if device == self.device:
            return self
        moved: Tensor = REGISTRY["to_device"](self, device=device, source=self.device)
        return moved

    def __repr__(self) -> str:
        """Show shape, dtype, device, operation or requires_grad, and the values.

        Examples
        --------
        >>> Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
        Tensor((2, 2), float64, cpu, requires_grad=True) [[1. 2.] [3. 4.]]
        """
        return summary(self)

    def __len__(self) -> int:
        """Return the length of the first axis."""
        if not self.ndim:
            raise ShapeError(
                "len: expected a tensor with at least one axis, got a scalar; use .item()"
            )
        return int(self.shape[0])

    def __iter__(self) -> Iterator[Tensor]:
        """Iterate over the rows along the first axis."""
        return (self[i] for i in range(len(self)))

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

    def _without_graph(self, operation: str) -> Tensor:
        if self._requires_grad:
            raise GradientError(
                f"{operation}: the tensor requires grad, and a number has no graph; "
                "use t.item() or t.numpy() for the value, or t.detach() first"
            )
        return self

    def __setitem__(self, index: Index, value: object) -> None:
        """Refuse: values that a gradient may need are not overwritten."""
        raise GradientError(
            "t[i] = v: tensors are not written into; use ops.where(mask, v, t) or "
            "ops.index_add(t, i, v), "
            "or assign t.data as a whole"
        )

    def __dlpack__(self, **options: Any) -> Any:
        """Export the memory (DLPack); refused where that would drop the graph."""
        return self._without_graph("from_dlpack(t)")._data.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        """Return the device of the memory (DLPack)."""
        return self._data.__dlpack_device__()

    def __reduce__(self) -> Any:
        """Pickle and copy by value: data and requires_grad, without graph and gradient."""
        return _rebuild, (
            type(self),
            self.numpy(),
            self._requires_grad and self.is_leaf,
            self.device,
        )

    # by identity: `==` compares elementwise
    __hash__ = object.__hash__

    # attached by tinygrad_ckn/ops/methods.py
    if TYPE_CHECKING:
        T: Tensor
        mT: Tensor

        def __add__(self, other: Array | float) -> Tensor: ...
        def __radd__(self, other: Array | float) -> Tensor: ...
        def __sub__(self, other: Array | float) -> Tensor: ...
        def __rsub__(self, other: Array | float) -> Tensor: ...
        def __mul__(self, other: Array | float) -> Tensor: ...
        def __rmul__(self, other: Array | float) -> Tensor: ...
        def __truediv__(self, other: Array | float) -> Tensor: ...
        def __rtruediv__(self, other: Array | float) -> Tensor: ...
        def __pow__(self, other: Array | float) -> Tensor: ...
        def __rpow__(self, other: Array | float) -> Tensor: ...
        def __matmul__(self, other: Array | float) -> Tensor: ...
        def __rmatmul__(self, other: Array | float) -> Tensor: ...
        def __floordiv__(self, other: Array | float) -> Tensor: ...
        def __rfloordiv__(self, other: Array | float) -> Tensor: ...
        def __mod__(self, other: Array | float) -> Tensor: ...
        def __rmod__(self, other: Array | float) -> Tensor: ...
        def __and__(self, other: Array | float) -> Tensor: ...
        def __rand__(self, other: Array | float) -> Tensor: ...
        def __or__(self, other: Array | float) -> Tensor: ...
        def __ror__(self, other: Array | float) -> Tensor: ...
        def __xor__(self, other: Array | float) -> Tensor: ...
        def __rxor__(self, other: Array | float) -> Tensor: ...
        def __invert__(self) -> Tensor: ...
        def __pos__(self) -> Tensor: ...
        def __round__(self, decimals: int | None = None) -> Tensor: ...
        def __neg__(self) -> Tensor: ...
        def __abs__(self) -> Tensor: ...
        def __getitem__(self, index: Index) -> Tensor: ...
        def __eq__(self, other: object) -> Tensor: ...  # type: ignore[override]  # elementwise, as NumPy's
        def __ne__(self, other: object) -> Tensor: ...  # type: ignore[override]  # elementwise, as NumPy's
        def __lt__(self, other: Array | float) -> Tensor: ...  # type: ignore[misc]
        def __le__(self, other: Array | float) -> Tensor: ...  # type: ignore[misc]
        def __gt__(self, other: Array | float) -> Tensor: ...  # type: ignore[misc]
        def __ge__(self, other: Array | float) -> Tensor: ...  # type: ignore[misc]
        def sum(self, axis: Axis = None, keepdims: bool = False) -> Tensor: ...
        def mean(self, axis: Axis = None, keepdims: bool = False) -> Tensor: ...
        def var(self, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Tensor: ...
        def max(self, axis: Axis = None, keepdims: bool = False) -> Tensor: ...
        def min(self, axis: Axis = None, keepdims: bool = False) -> Tensor: ...
        def argmax(self, axis: int | None = None) -> Tensor: ...
        def argmin(self, axis: int | None = None) -> Tensor: ...
        def reshape(self, *shape: SupportsIndex | Sequence[SupportsIndex]) -> Tensor: ...
        def transpose(self, *axes: int | Sequence[int] | None) -> Tensor: ...
        def swapaxes(self, axis1: int, axis2: int) -> Tensor: ...
        def squeeze(self, axis: Axis = None) -> Tensor: ...
        def astype(self, dtype: DTypeLike) -> Tensor: ...
        def std(self, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Tensor: ...
        def norm(self, *, axis: Axis = None, keepdims: bool = False) -> Tensor: ...
        def any(self, axis: Axis = None, keepdims: bool = False) -> Tensor: ...
        def all(self, axis: Axis = None, keepdims: bool = False) -> Tensor: ...
        def round(self, decimals: int = 0) -> Tensor: ...
        def dot(self, other: Array | float) -> Tensor: ...
        def flatten(self) -> Tensor: ...
        def ravel(self) -> Tensor: ...
        def copy(self) -> Tensor: ...
        def exp(self) -> Tensor: ...
        def log(self) -> Tensor: ...
        def sqrt(self) -> Tensor: ...
        def square(self) -> Tensor: ...
        def abs(self) -> Tensor: ...
        def sign(self) -> Tensor: ...
        def sin(self) -> Tensor: ...
        def cos(self) -> Tensor: ...
        def tanh(self) -> Tensor: ...
        def sigmoid(self) -> Tensor: ...
        def relu(self) -> Tensor: ...
        def clip(self, a_min: float | None = None, a_max: float | None = None) -> Tensor: ...


def _own(gradient: Tensor) -> Tensor:
    """Return a recorded gradient on memory of its own."""
    if gradient.is_leaf and gradient.requires_grad:
        # the one that was passed to backward, to be differentiated in
        return gradient
    own: Tensor = Variable.wrap(gradient._data.copy(), gradient._node)
    return own


def _rebuild(kind: type[Tensor], data: Any, requires_grad: bool, device: str) -> Tensor:
    return kind(data, requires_grad=requires_grad, device=device)


def methods(table: dict[str, Callable[..., Any]]) -> None:
    """Attach operators and methods to Tensor; called once, by `ops`."""
    for name, function in table.items():
        setattr(Tensor, name, function)


Variable.tensor_type = Tensor
