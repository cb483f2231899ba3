"""Checks of a saved state, before any of it is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from numbers import Real
from typing import Any

from tinygrad_ckn.backend import Array, asarray, backend_of
from tinygrad_ckn.errors import DataError, DTypeError
from tinygrad_ckn.graph import unwrap


def checked_state(
    owner: str,
    current: Mapping[str, Array | float],
    state: Mapping[str, Array | float],
    *,
    strict: bool,
) -> dict[str, Array]:
    """Return copies of a saved state, each on the device of the current value.

    Parameters
    ----------
    owner
        Class that error messages name.
    current
        Arrays and numbers by name, which determine names, shapes, dtypes and devices.
    state
        Arrays and numbers to load.
    strict
        Whether missing and unexpected names are an error; otherwise they are ignored.

    Raises
    ------
    DataError
        If a shape or dtype differs or, when strict, a name is missing or unexpected.
    DTypeError
        If the state is not a mapping.

    Examples
    --------
    >>> checked_state("Net", {"bias": np.zeros(2)}, {"bias": [1.0, 2.0]}, strict=True)
    {'bias': array([1., 2.])}
    """
    if not isinstance(state, Mapping):
        raise DTypeError(
            f"{owner}.load_state_dict: argument state expected a mapping from names to arrays, "
            f"as {owner}.state_dict() returns, got {type(state).__name__}; "
            "open a file first, as with np.load(path)"
        )
    arrays = {
        name: asarray(unwrap(state[name]), device=backend_of(value).device)
        for name, value in current.items()
        if name in state
    }
    problems = {
        "missing": [repr(name) for name in current if name not in state] if strict else [],
        "unexpected": [repr(name) for name in state if name not in current] if strict else [],
        "wrong shape or dtype": list(_mismatches(current, arrays)),
    }
    if any(problems.values()):
        listed = "; ".join(
            f"{kind} {', '.join(names)}" for kind, names in problems.items() if names
        )
        raise DataError(
            f"{owner}.load_state_dict: argument state expected what {owner}.state_dict() returns, "
            f"got {listed}; build the object as it was when saved (nothing was loaded)"
        )
    return arrays


def _mismatches(current: Mapping[str, Array | float], arrays: Mapping[str, Array]) -> Iterator[str]:
    """Yield a description of each array whose shape or dtype differs from the current one."""
    for name, array in arrays.items():
        value = current[name]
        expected: Any = asarray(value) if isinstance(value, Real) else value
        if array.shape != expected.shape or array.dtype != expected.dtype:
            yield f"{name!r} ({array.dtype} {array.shape}, not {expected.dtype} {expected.shape})"
