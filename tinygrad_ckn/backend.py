"""The one file that knows NumPy from CuPy.

The arrays decide: `xp_of(x)` is the namespace that made `x`, and every primitive
computes with the `xp` it is handed. CuPy is looked up among the modules already
imported, and imported only when the user asks for `device="cuda"`.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_ckn.array_types import (
    Array,
    Axis,
    DType,
    DTypeLike,
    Generator,
    Images,
    Index,
    Labels,
    Namespace,
    NDArray,
    Shape,
    Vectors,
)
from tinygrad_ckn.errors import BackendError, DTypeError, GradientError, how_to_install
from tinygrad_ckn.random_numbers import default_rng, manual_seed

__all__ = [
    "CPU",
    "Array",
    "Axis",
    "Backend",
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
    "asarray",
    "backend_of",
    "check_real",
    "default_rng",
    "floating",
    "is_array",
    "is_number",
    "manual_seed",
    "place_of",
    "register",
    "register_host",
    "special",
    "synchronize",
    "to_numpy",
    "use",
    "xp_of",
]


@dataclass(frozen=True, slots=True, eq=False)
class Backend:
    """An array library on a device, and the few things in which libraries differ.

    `asynchronous` tells whether calls return before the device is done. Reading a value
    then blocks, so no step of a training reads one: an invalid value makes the result
    NaN, where the CPU raises.
    """

    device: str
    xp: Namespace
    array_type: type
    to_numpy: Callable[[Any], np.ndarray]
    synchronize: Callable[[], None]
    strict_linalg: Callable[[], AbstractContextManager[Any]]
    asynchronous: bool = False


CPU = Backend("cpu", np, np.ndarray, np.asarray, lambda: None, contextlib.nullcontext)

_BY_TYPE: dict[type, Backend] = {np.ndarray: CPU}
# types that are no arrays, but give NumPy's when indexed
_HOST: set[type] = set()
# scalars go with any backend
_NEUTRAL: set[type] = {int, float, bool, type(None)}
_SCALARS = frozenset(
    kind for kind in np.sctypeDict.values() if issubclass(kind, np.integer | np.floating | np.bool_)
)


def register(backend: Backend) -> None:
    """Register a backend by the type of its arrays; the last one serves its device."""
    _BY_TYPE[backend.array_type] = backend


def register_host(kind: type) -> None:
    """Register a type that is read like an array in host memory, and gives such when indexed."""
    _HOST.add(kind)


def is_array(value: Any) -> bool:
    """Return whether `value` is an array of a known backend; scalars are not."""
    return type(value) in _BY_TYPE


def backend_of(*arrays: Any) -> Backend:
    """Return the backend of arrays; scalars go with any, alone with the CPU.

    Raises
    ------
    BackendError
        If arrays of two backends are mixed.
    DTypeError
        If something is not an array of a known backend.
    """
    common: Backend | None = None
    for array in arrays:
        kind = type(array)
        if kind in _NEUTRAL:
            continue
        backend = _BY_TYPE.get(kind) or _identify(kind)
        if common is None:
            common = backend
        elif backend is not None and backend is not common:
            raise BackendError(
                f"expected arrays on one device, got {common.device!r} and {backend.device!r}; "
                f"move one with .to({common.device!r})"
            )
    return common or CPU


def is_number(value: Any) -> bool:
    """Return whether `value` is a scalar of NumPy: a real number or a boolean.

    Next to an array it counts as a Python number, so that it keeps the array's dtype.

    Examples
    --------
    >>> is_number(np.float64(2.0)), is_number(np.array(2.0)), is_number(2.0)
    (True, False, False)
    """
    return type(value) in _SCALARS


def xp_of(*arrays: Any) -> Namespace:
    """Return the array namespace (numpy, cupy) that made these arrays."""
    return backend_of(*arrays).xp


def special(xp: Namespace) -> Namespace:
    """Return the special functions that NumPy and CuPy lack, such as `erf`.

    They are those of `scipy.special` or `cupyx.scipy.special`, imported when first used.

    Examples
    --------
    >>> float(special(np).erf(0.0))
    0.0
    """
    name = "scipy.special" if xp is np else "cupyx.scipy.special"
    return importlib.import_module(name)


def place_of(array: Any) -> int:
    """Return the number of the device of an array, -1 for the host."""
    place: int = getattr(getattr(array, "device", None), "id", -1)
    return place


def _identify(kind: type) -> Backend | None:
    """Find the backend of a type seen for the first time; None for a scalar."""
    # np.complex128 too
    if issubclass(kind, complex):
        raise DTypeError(
            "expected real numbers, got complex ones; pass real and imaginary parts apart"
        )
    if issubclass(kind, int | float | np.integer | np.floating | np.bool_):
        _NEUTRAL.add(kind)
        return None
    if issubclass(kind, tuple(_HOST)):
        return CPU
    if issubclass(kind, np.memmap):
        _BY_TYPE[kind] = CPU
        return CPU
    if issubclass(kind, np.ndarray):
        raise DTypeError(
            f"expected a plain numpy.ndarray, got its subclass {kind.__name__}; pass "
            "numpy.asarray(x)"
        )
    cupy = sys.modules.get("cupy")
    if cupy is not None and issubclass(kind, cupy.ndarray):
        register(_cupy_backend(cupy))
        return _BY_TYPE[kind]
    raise DTypeError(
        f"expected an array or a number, got {kind.__name__}; wrap it in Tensor(...) first"
    )


def _cupy_backend(cupy: Any) -> Backend:
    def strict_linalg() -> AbstractContextManager[Any]:
        # CuPy's own default is to return garbage where LAPACK reports a failure.
        context: AbstractContextManager[Any] = importlib.import_module("cupyx").errstate(
            linalg="raise"
        )
        return context

    def synchronize() -> None:
        cupy.cuda.get_current_stream().synchronize()

    return Backend(
        "cuda", cupy, cupy.ndarray, cupy.asnumpy, synchronize, strict_linalg, asynchronous=True
    )


def use(device: str) -> Backend:
    """Return the backend of a device, importing its library if needed.

    Raises
    ------
    BackendError
        If the device has another name than "cpu" and "cuda", CuPy is missing, or CuPy
        finds no usable GPU.

    Examples
    --------
    >>> use("cpu").xp.__name__
    'numpy'
    """
    for backend in reversed(_BY_TYPE.values()):
        if backend.device == device:
            return backend
    if device != "cuda":
        raise BackendError(f"device: expected 'cpu' or 'cuda', got {device!r}")
    try:
        cupy = importlib.import_module("cupy")
    except ImportError as error:
        raise BackendError(
            "device 'cuda' needs CuPy, which does not import; "
            f"{how_to_install('cuda13')} ([cuda12] for older drivers) ({error})"
        ) from error
    if not cupy.cuda.is_available():
        raise BackendError(
            "device 'cuda' needs a GPU with its driver, and CuPy finds none; use device='cpu'"
        )
    register(_cupy_backend(cupy))
    return _BY_TYPE[cupy.ndarray]


def asarray(data: Any, *, dtype: Any = None, device: str | None = None) -> Any:
    """Return a new array of `data`: numbers, nested lists or arrays of any backend.

    Default device: that of the data, the CPU for numbers and lists.

    Raises
    ------
    DTypeError
        If the values are not real numbers or booleans.
    """
    source = _BY_TYPE.get(type(data))
    if source is None and not isinstance(data, int | float | complex | np.generic | Sequence):
        data = _foreign(data)
        source = backend_of(data)
    target = (source or CPU) if device is None else use(device)
    if source is not None and source is not target:
        data = source.to_numpy(data)
    try:
        array = target.xp.array(data, dtype=dtype)
    except (ValueError, TypeError, GradientError) as error:
        hint = (
            "; join Tensors with ops.stack, which records it"
            if isinstance(error, GradientError)
            else ""
        )
        raise DTypeError(
            f"Tensor: expected numbers in a regular grid, got {type(data).__name__} ({error}){hint}"
        ) from error
    return check_real("Tensor", "data", array)


def _foreign(data: Any) -> Any:
    """Return the array of another library as one of NumPy, or of CuPy on a GPU.

    Such as PyTorch, JAX, pandas, h5py or PIL.

    Subclasses of NumPy's array (masks, units) are returned unchanged, and refused later.
    """
    if isinstance(data, np.ndarray):
        return data
    name = f"{type(data).__module__.partition('.')[0]}.{type(data).__name__}"
    try:
        if hasattr(data, "__dlpack_device__") and data.__dlpack_device__()[0] != 1:
            # kDLCPU in dlpack.h
            return use("cuda").xp.from_dlpack(data)
        if any(hasattr(data, protocol) for protocol in ("__array__", "__array_interface__")):
            return np.asarray(data)
        if hasattr(data, "__dlpack__"):
            return np.from_dlpack(data)
        return np.asarray(memoryview(data))
    except (TypeError, ValueError, RuntimeError, BufferError) as error:
        why = "" if isinstance(error, TypeError) and "memoryview" in str(error) else f" ({error})"
        raise DTypeError(
            f"Tensor: expected numbers, nested lists, or an array of any library, got {name}{why}; "
            "pass numpy.asarray(x), detached from its graph if it has one"
        ) from error


def check_real(op: str, argument: str, array: Any) -> Any:
    """Return `array`; raise a DTypeError unless it is of real numbers or booleans."""
    if array.dtype.kind not in "fiub":
        raise DTypeError(
            f"{op}: argument {argument} expected a real dtype, got {array.dtype}; "
            "pass real and imaginary parts as two real arrays"
            if array.dtype.kind == "c"
            else f"{op}: argument {argument} expected numbers, got dtype {array.dtype}"
        )
    return array


def floating(xp: Namespace, x: Any) -> Any:
    """Return x as a floating array; integers and booleans become float64, as in NumPy."""
    x = xp.asarray(x)
    return x if x.dtype.kind == "f" else x.astype("float64")


def to_numpy(array: Any) -> np.ndarray:
    """Return the array in host memory: itself on the CPU, a copy from a GPU."""
    return backend_of(array).to_numpy(array)


def synchronize(device: str) -> None:
    """Wait until the device is done; returns at once on the CPU."""
    use(device).synchronize()
