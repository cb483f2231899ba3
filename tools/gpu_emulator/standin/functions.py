"""The functions of the namespaces: NumPy's, with CuPy's restrictions.

They take arrays on the device only.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tools.gpu_emulator.standin.array import ndarray, put, silent, unwrap, unwritten, wrap
from tools.gpu_emulator.standin.counters import called, copied_to_device, synchronised
from tools.gpu_emulator.standin.surface import check_call, check_values, entry

# Parameters that must be arrays in CuPy: a list or a number is an error.
_ARRAYS = {"a", "ar", "arr", "array", "ary", "condition", "m", "v", "x", "x1"}
_ALSO_NUMBERS = {
    "can_cast",
    "isscalar",
    "ndim",
    "shape",
    "size",
    "full_like",
    "where",
    "array_equal",
}
# Functions that compute nothing: views, and queries of shapes and dtypes.
VIEWS = {
    "reshape",
    "ravel",
    "transpose",
    "swapaxes",
    "moveaxis",
    "rollaxis",
    "squeeze",
    "expand_dims",
    "broadcast_to",
}
VIEWS |= {
    "broadcast_shapes",
    "atleast_1d",
    "atleast_2d",
    "diagonal",
    "flip",
    "split",
    "array_split",
    "view",
    "real",
}
VIEWS |= {
    "ndim",
    "shape",
    "size",
    "can_cast",
    "min_scalar_type",
    "sliding_window_view",
    "as_strided",
    "isscalar",
}
# through the functions they call
_WAITS = {"argwhere", "array_equal", "in1d", "isin", "setdiff1d", "union1d"}


def from_numpy(module: str, name: str, host: Callable[..., Any]) -> Callable[..., Any]:
    """Return a NumPy function as a function of one of CuPy's modules."""
    synchronizes = entry(module, name).get("synchronizes") or name in _WAITS

    @silent
    def function(*args: Any, **options: Any) -> Any:
        for label, value in check_call(module, name, args, options).items():
            if label in _ARRAYS and name not in _ALSO_NUMBERS and not isinstance(value, ndarray):
                raise TypeError(
                    f"{module}.{name}: {label} expected an array on the device, "
                    f"got {type(value).__name__}"
                )
        check_values(module, name, args, options)
        if synchronizes:
            synchronised(f"{module}.{name}")
        if name not in VIEWS:
            called(name)
        hosts = {key: unwrap(value) for key, value in options.items()}
        return wrap(host(*map(unwrap, args), **hosts), _sources(args, options))

    function.__name__ = name
    return function


def _sources(args: tuple[Any, ...], options: dict[str, Any]) -> list[Any]:
    """Return the arguments that a result may share memory with."""
    sources: list[Any] = []
    for value in (*args, *options.values()):
        sources += value if isinstance(value, tuple | list) else [value]
    return sources


def array(
    obj: Any,
    dtype: Any = None,
    copy: bool | None = True,
    order: str = "K",
    subok: bool = False,
    ndmin: int = 0,
    **more,
) -> ndarray:
    """Return a new array from numbers, host arrays (which are copied) or device arrays."""
    check_call("cupy", "array", (obj,), more)
    if isinstance(obj, ndarray):
        found: ndarray = wrap(
            np.array(obj._host, dtype, copy=copy, order=order, ndmin=ndmin), (obj,)
        )
        return found
    if isinstance(obj, list | tuple) and any(isinstance(part, ndarray) for part in obj):
        return put(np.array([unwrap(part) for part in obj], dtype, ndmin=ndmin))
    copied_to_device("array(x)")
    return put(np.array(obj, dtype, ndmin=ndmin))


def asarray(
    a: Any, dtype: Any = None, order: Any = None, *, copy: bool | None = None, **more: Any
) -> ndarray:
    """Return a device array unchanged if possible, else the result of `array`."""
    check_call("cupy", "asarray", (a,), more)
    return array(a, dtype, copy=copy) if isinstance(a, ndarray) else array(a, dtype)


def empty(shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
    """Return an uninitialised array."""
    return ndarray(shape, dtype, order=order)


def empty_like(
    prototype: ndarray, dtype: Any = None, order: str = "K", subok: Any = None, shape: Any = None
) -> ndarray:
    """Return an uninitialised array with the shape and dtype of another."""
    made: ndarray = wrap(
        unwritten(np.empty_like(unwrap(prototype), dtype, order=order, shape=shape))
    )
    return made


def asnumpy(a: Any, **options: Any) -> np.ndarray:
    """Return a copy on the host, which waits for it."""
    check_call("cupy", "asnumpy", (a,), options)
    if not isinstance(a, ndarray):
        return np.asarray(a)
    synchronised("asnumpy(x)")
    return a._host.copy()


def where(condition: Any, x: Any = None, y: Any = None) -> Any:
    """Return x where the condition holds, else y; without them, the positions where it holds."""
    if x is None and y is None:
        synchronised("where(condition)")
        return wrap(np.where(unwrap(condition)))
    if not isinstance(condition, ndarray):
        raise TypeError(
            f"cupy.where: condition expected an array on the device, got {type(condition).__name__}"
        )
    called("where")
    return wrap(np.where(condition._host, unwrap(x), unwrap(y)))


def may_share_memory(a: Any, b: Any, max_work: Any = None) -> bool:
    """Return whether two arrays may overlap in memory; False if one is not on the device."""
    both = isinstance(a, ndarray) and isinstance(b, ndarray)
    return both and bool(np.may_share_memory(a._host, b._host))


def shares_memory(a: ndarray, b: ndarray, max_work: Any = None) -> bool:
    """Return whether two arrays overlap in memory."""
    return bool(np.shares_memory(unwrap(a), unwrap(b)))


def result_type(*arrays_and_dtypes: Any) -> Any:
    """Return the dtype of results computed from these arguments."""
    return np.result_type(*map(unwrap, arrays_and_dtypes))


def from_dlpack(array: Any, *, device: Any = None, copy: Any = None) -> ndarray:
    """Return an array that shares the memory of another on the device."""
    if not isinstance(array, ndarray):
        raise ValueError("from_dlpack: expected an array on a CUDA device")
    made: ndarray = wrap(array._host.view(), (array,))
    return made


def get_array_module(*args: Any) -> Any:
    """Return this namespace if an argument is on the device, else NumPy."""
    # the stand-in, if installed
    import cupy

    return cupy if any(isinstance(arg, ndarray) for arg in args) else np


OWN: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        *(array, asarray, empty, empty_like, asnumpy, where),
        *(may_share_memory, shares_memory, result_type, from_dlpack, get_array_module),
    )
}
