"""The dtypes of real numbers, and questions about them."""

from __future__ import annotations

from typing import Any, NamedTuple

from tinygrad_ckn.backend import CPU, Array, DType, DTypeLike, is_number
from tinygrad_ckn.errors import DTypeError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.plain import plain

_NUMPY = CPU.xp
# by name, as the Array API standard has them
DTYPES: dict[str, DType] = {
    name: _NUMPY.dtype(name)
    for name in (
        "bool",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "float32",
        "float64",
    )
}


class FloatInfo(NamedTuple):
    """The limits of a floating dtype, as Python numbers."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: DType


class IntegerInfo(NamedTuple):
    """The limits of an integer dtype."""

    bits: int
    max: int
    min: int
    dtype: DType


def can_cast(from_: Array | DTypeLike, to: DTypeLike) -> bool:
    """Return whether a dtype converts to another without loss, as promotion does.

    Parameters
    ----------
    from_
        A dtype, or an array, whose dtype counts.
    to
        A dtype.

    Examples
    --------
    >>> can_cast("int8", "int16"), can_cast("int16", "int8")
    (True, False)
    """
    found: bool = _NUMPY.can_cast(getattr(from_, "dtype", from_), to)
    return found


def result_type(*arrays_and_dtypes: Array | DTypeLike | float) -> DType:
    """Return the dtype of the result of arrays, numbers and dtypes.

    Numbers, Python's and NumPy's alike, take the dtype of the arrays beside them.

    Raises
    ------
    DTypeError
        If there is none, or none in common.

    Examples
    --------
    >>> result_type("float32", np.float64(2.0)).name
    'float32'
    """
    values = [unwrap(value) for value in arrays_and_dtypes]
    weak = [plain(value) if is_number(value) else value for value in values]
    only_numbers = all(isinstance(value, int | float) for value in weak)
    try:
        # numbers alone have their own dtypes
        found: DType = _NUMPY.result_type(
            *(values if only_numbers else [_dtype_of(value) for value in weak])
        )
    except (TypeError, ValueError) as error:
        raise DTypeError(f"result_type: {error}") from error
    return found


def _dtype_of(value: Any) -> Any:
    """Return the dtype of an array, and anything else as it is."""
    return getattr(value, "dtype", value)


def isdtype(dtype: DTypeLike, kind: DTypeLike | str | tuple[DTypeLike | str, ...]) -> bool:
    """Return whether a dtype is of a kind.

    Parameters
    ----------
    dtype
        A dtype.
    kind
        A dtype, "bool", "signed integer", "unsigned integer", "integral", "real
        floating", "complex floating" or "numeric", or a tuple of these.

    Raises
    ------
    DTypeError
        If the kind is unknown.

    Examples
    --------
    >>> isdtype("float32", "real floating")
    True
    """
    try:
        found: bool = _NUMPY.isdtype(_NUMPY.dtype(dtype), kind)
    except (TypeError, ValueError) as error:
        raise DTypeError(f"isdtype: {error}") from error
    return found


def finfo(type: Array | DTypeLike) -> FloatInfo:
    """Return the limits of a floating dtype: `bits`, `eps`, `max`, `min`, `smallest_normal`.

    Parameters
    ----------
    type
        A floating dtype, or an array of one.

    Raises
    ------
    DTypeError
        If it is not floating.

    Examples
    --------
    >>> finfo("float32").bits
    32
    """
    try:
        found = _NUMPY.finfo(_dtype_of(type))
    except (TypeError, ValueError) as error:
        raise DTypeError(f"finfo: {error}") from error
    return FloatInfo(
        int(found.bits),
        float(found.eps),
        float(found.max),
        float(found.min),
        float(found.smallest_normal),
        found.dtype,
    )


def iinfo(type: Array | DTypeLike) -> IntegerInfo:
    """Return the limits of an integer dtype: `bits`, `max`, `min`.

    Parameters
    ----------
    type
        An integer dtype, or an array of one.

    Raises
    ------
    DTypeError
        If it is not an integer dtype.

    Examples
    --------
    >>> iinfo("int8").max
    127
    """
    try:
        found = _NUMPY.iinfo(_dtype_of(type))
    except (TypeError, ValueError) as error:
        raise DTypeError(f"iinfo: {error}") from error
    return IntegerInfo(int(found.bits), int(found.max), int(found.min), found.dtype)
