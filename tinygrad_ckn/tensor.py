"""Tensor: an array, its gradient, and its history; `ops` attaches the operators."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

from tinygrad_ckn import refusals
from tinygrad_ckn.backend import (
    Array,
    DTypeLike,
    Index,
    asarray,
    backend_of,
)
from tinygrad_ckn.backward import backpropagate
from tinygrad_ckn.drawing import summary, to_html
from tinygrad_ckn.errors import DTypeError, GradientError, ShapeError
from tinygrad_ckn.gradient import as_tensor, initial_gradient
from tinygrad_ckn.graph import Variable
from tinygrad_ckn.hooks import HookHandle, add_gradient_hook
from tinygrad_ckn.primitive import REGISTRY
from tinygrad_ckn.tensor_operators import TensorOperators
from tinygrad_ckn.tensor_values import TensorValues

# several threads may share a leaf
_accumulating = threading.Lock()


class Tensor(TensorValues, TensorOperators):
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
            If nothing here requires grad, this is not a scalar and `gradient` is missing,
            the graph was freed, or a tensor that a rule needs was assigned new data in
            between.
        """
        start = initial_gradient(self, gradient, create_graph)
        results = backpropagate(
            [(self._vertex, start)],
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

    def register_hook(self, function: Callable[[Tensor], Array | None]) -> HookHandle:
        """Call a function with the gradient of this tensor, in each backward that reaches it.

        It gets the whole gradient, once for each backward, before it is passed on or, for a
        leaf, added to `.grad`. It may return another one to take its place, or None.
        Functions are called in the order they were registered. They belong to this result,
        not to its views or copies, and end with it.

        Parameters
        ----------
        function
            Of a Tensor; returns None, or an array or Tensor of its shape and dtype.

        Returns
        -------
        HookHandle
            Its `remove()` takes the function away.

        Raises
        ------
        GradientError
            If this tensor does not require grad.
        DTypeError
            If it is not a function.

        Examples
        --------
        >>> x = Tensor([1.0, 2.0], requires_grad=True)
        >>> y = x * x
        >>> handle = y.register_hook(lambda g: 10 * g)
        >>> y.sum().backward()
        >>> x.grad.tolist()
        [20.0, 40.0]
        """
        if not callable(function) or not self._requires_grad:
            raise refusals.no_hook(function, self._requires_grad)
        return add_gradient_hook(self._vertex, function)

    def detach(self) -> Tensor:
        """Return a tensor with the same memory and no history."""
        return Variable.wrap(self._data, None, self._version)

    def to(self, device: str) -> Tensor:
        """Return this tensor on a device: itself, or a copy through which gradients flow back."""
        if device == self.device:
            return self
        moved: Tensor = REGISTRY["to_device"](self, device=device, source=self.device)
        return moved

    def _repr_html_(self) -> str:
        """Return the table that a notebook shows."""
        return to_html(self)

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

    def __setitem__(self, index: Index, value: object) -> None:
        """Refuse: values that a gradient may need are not overwritten."""
        raise GradientError(
            "t[i] = v: tensors are not written into; use ops.where(mask, v, t) or "
            "ops.index_add(t, i, v), "
            "or assign t.data as a whole"
        )

    def __reduce__(self) -> Any:
        """Pickle and copy by value: data and requires_grad, without graph and gradient."""
        return _rebuild, (
            type(self),
            self.numpy(),
            self._requires_grad and self.is_leaf,
            self.device,
        )


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
