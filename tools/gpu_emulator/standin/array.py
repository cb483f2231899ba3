"""The stand-in's array: a NumPy array that can be used only as an array on a GPU can.

It is a wrapper, not a subclass, which NumPy would treat as one of its own. All results
are arrays, also 0-d ones, where NumPy returns scalars. `ufunc.py` attaches the
operators.
"""

from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from tools.gpu_emulator.standin.counters import called, copied_to_device, synchronised
from tools.gpu_emulator.standin.surface import check_call, check_values, entry

# A GPU does not warn.
silent = np.errstate(all="ignore")
Scalar = int | float | complex | np.generic
# Methods implemented by NumPy's, with CuPy's arguments.
_PLAIN = "all any argmax argmin argpartition argsort astype clip conj conjugate copy cumprod "
_PLAIN += "cumsum diagonal dot flatten max mean min partition prod ravel repeat reshape round "
_PLAIN += "searchsorted sort squeeze std sum swapaxes take trace transpose var view nonzero fill"


class ndarray:
    """An array "on the device"; the constructor makes an uninitialised one."""

    __slots__ = ("_host", "base")
    # CuPy's value: operators defer to operands with a higher one.
    __array_priority__ = 100
    __hash__ = None  # type: ignore[assignment]
    _host: np.ndarray
    base: "ndarray | None"

    def __init__(self, shape: Any, dtype: Any = float, *, order: str = "C") -> None:
        self._host = unwritten(np.empty(shape, dtype, order=order))  # type: ignore[call-overload]
        self.base = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return self._host.shape

    @property
    def dtype(self) -> np.dtype:
        """Type of the elements."""
        return self._host.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self._host.ndim

    @property
    def size(self) -> int:
        """Number of elements."""
        return self._host.size

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return self._host.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self._host.nbytes

    @property
    def strides(self) -> tuple[int, ...]:
        """Distances between elements along each axis, in bytes."""
        return self._host.strides

    @property
    def flags(self) -> SimpleNamespace:
        """Layout of the memory."""
        flags = self._host.flags
        return SimpleNamespace(
            c_contiguous=flags.c_contiguous,
            f_contiguous=flags.f_contiguous,
            owndata=self.base is None,
        )

    @property
    def data(self) -> SimpleNamespace:
        """Pointer to the first element, as `ptr`."""
        return SimpleNamespace(ptr=self._host.ctypes.data)

    @property
    def device(self) -> SimpleNamespace:
        """The only device, number 0."""
        return SimpleNamespace(id=0)

    @property
    def T(self) -> "ndarray":
        """The transpose, a view."""
        return wrap(self._host.T, (self,))

    @property
    def real(self) -> "ndarray":
        """The array itself, whose elements are real."""
        return wrap(self._host.real, (self,))

    def __len__(self) -> int:
        return len(self._host)

    def __iter__(self) -> Iterator["ndarray"]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> "ndarray":
        return wrap(self._host[_host_index(index)], (self,))

    def __setitem__(self, index: Any, value: Any) -> None:
        if not isinstance(value, ndarray | Scalar):
            raise TypeError(
                f"x[i] = v: expected v on the device or a scalar, got {type(value).__name__}"
            )
        host = _host_index(index)
        several = isinstance(value, ndarray) and value.size > 1
        if several and any(
            isinstance(part, np.ndarray) and part.dtype.kind in "iu" for part in host
        ):
            places = np.arange(self.size).reshape(self.shape)[host]
            if len(np.unique(places)) < places.size:
                raise IndexError(
                    "x[i] = v: expected distinct positions, got one twice, whose value is undefined"
                )
        self._host[host] = unwrap(value)

    def get(self, *args: Any, **options: Any) -> np.ndarray:
        """Return a copy on the host."""
        check_call("ndarray", "get", args, options)
        synchronised("x.get()")
        return self._host.copy()

    def set(self, arr: np.ndarray) -> None:
        """Copy values from the host."""
        copied_to_device("x.set()")
        self._host[...] = arr

    def item(self) -> Any:
        """Return the only element; the host waits for it."""
        synchronised("x.item()")
        if self.size != 1:
            raise ValueError("can only convert an array of size 1 to a Python scalar")
        return self._host.item()

    def tolist(self) -> Any:
        """Return nested lists of numbers; the host waits for them."""
        synchronised("x.tolist()")
        return self._host.tolist()

    def _number(self, kind: Callable[[Any], Any]) -> Any:
        synchronised(f"{kind.__name__}(x)")
        if self.size != 1:
            raise ValueError("expected an array of one element as a number or truth value")
        return kind(self._host.item())

    def __bool__(self) -> bool:
        return bool(self._number(bool))

    def __int__(self) -> int:
        return int(self._number(int))

    def __float__(self) -> float:
        return float(self._number(float))

    def __str__(self) -> str:
        return str(self.get())

    def __repr__(self) -> str:
        return repr(self.get())

    def __format__(self, spec: str) -> str:
        return format(self.get(), spec) if self.ndim else format(self.item(), spec)

    def __reduce__(self) -> Any:
        return put, (self.get(),)

    def __copy__(self) -> "ndarray":
        return put(self._host)

    def __deepcopy__(self, memo: Any) -> "ndarray":
        return put(self._host)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise TypeError(
            "implicit conversion to a NumPy array is not allowed; "
            "use .get() to construct one explicitly"
        )

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        raise TypeError(
            f"numpy.{function.__name__} of an array on the device; use xp.{function.__name__}"
        )

    def __dlpack_device__(self) -> tuple[int, int]:
        # kDLCUDA in dlpack.h
        return 2, 0

    def __getattr__(self, name: str) -> Any:
        # Raises an AttributeError if CuPy has no such name.
        entry("ndarray", name)
        raise AttributeError(
            f"the stand-in has no ndarray.{name} yet, which CuPy has: see {__file__}"
        )


def _method(name: str) -> Callable[..., Any]:
    synchronizes = entry("ndarray", name).get("synchronizes")

    @silent
    def method(self: ndarray, *args: Any, **options: Any) -> Any:
        check_call("ndarray", name, args, options)
        check_values("ndarray", name, args, options)
        if synchronizes:
            synchronised(f"x.{name}()")
        if name not in _OF_SHAPE:
            called(name)
        host_args = [unwrap(a) for a in args]
        host_options = {key: unwrap(value) for key, value in options.items()}
        result = getattr(self._host, name)(*host_args, **host_options)
        return wrap(result, (self, *args, *options.values()))

    return method


_OF_SHAPE = {"reshape", "ravel", "transpose", "swapaxes", "squeeze", "diagonal", "view"}
for _name in _PLAIN.split():
    setattr(ndarray, _name, _method(_name))


def wrap(result: Any, sources: Sequence[Any] = ()) -> Any:
    """Return NumPy results as arrays on the device, also within tuples and lists.

    Arrays and scalars are wrapped, other objects returned unchanged. A result that
    shares memory with one of the sources is that source, or a view of it.
    """
    if isinstance(result, tuple | list):
        wrapped = [wrap(part, sources) for part in result]
        return tuple(wrapped) if isinstance(result, tuple) else wrapped
    if not isinstance(result, np.ndarray | np.generic):
        return result
    host = np.asarray(result)
    base: ndarray | None = None
    for source in sources:
        if isinstance(source, ndarray):
            if host is source._host:
                return source
            if base is None and host.base is not None and np.may_share_memory(host, source._host):
                base = source if source.base is None else source.base
    made = object.__new__(ndarray)
    made._host = host
    made.base = base
    return made


def put(host: Any) -> ndarray:
    """Copy values on the host to the device."""
    made: ndarray = wrap(np.array(host))
    return made


def unwrap(value: Any) -> Any:
    """Return the host arrays behind arrays on the device, also within tuples and lists.

    Other objects are returned unchanged.

    Raises
    ------
    TypeError
        If an array is on the host.
    """
    if isinstance(value, ndarray):
        return value._host
    if isinstance(value, np.ndarray):
        raise TypeError(
            "Unsupported type <class 'numpy.ndarray'>: "
            "the array is on the host, others on the device"
        )
    if isinstance(value, tuple | list):
        parts = [unwrap(part) for part in value]
        return tuple(parts) if isinstance(value, tuple) else parts
    return value


def unwritten(host: np.ndarray) -> np.ndarray:
    """Fill uninitialised memory with conspicuous values: NaN, or the largest integer."""
    host.reshape(-1).view("uint8")[...] = 0x7F if host.dtype.kind in "iub" else 0xFF
    return host


def _host_index(index: Any) -> tuple[Any, ...]:
    """Return an index for the host array; an Ellipsis makes a single element a 0-d view."""
    parts = tuple(_host_part(part) for part in (index if isinstance(index, tuple) else (index,)))
    return parts if any(part is Ellipsis for part in parts) else (*parts, Ellipsis)


def _host_part(part: Any) -> Any:
    if isinstance(part, slice) and any(
        isinstance(edge, ndarray) for edge in (part.start, part.stop, part.step)
    ):
        raise TypeError(
            "only integers can be slice indices: an array on the device has no __index__"
        )
    if isinstance(part, list | np.ndarray):
        part = np.array(part, dtype=None if len(part) else int)
        copied_to_device("an index")
    elif isinstance(part, ndarray):
        part = part._host
    if isinstance(part, np.ndarray) and part.dtype == bool:
        synchronised("a boolean mask as index")
    return part
