"""Checks of a saved state before anything of it is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

from tinygrad_ckn.backend import asarray, backend_of
from tinygrad_ckn.errors import DataError, DTypeError
from tinygrad_ckn.graph import unwrap


def checked_state(
    owner: str, mine: Mapping[str, Any], given: Mapping[str, Any], *, strict: bool
) -> dict[str, Any]:
    """Return copies of the given arrays and numbers, each on the device of mine of that name; changes nothing.

    Raises
    ------
    DataError
        If one has another shape or dtype than mine, or, when strict, names are missing or unexpected.
    DTypeError
        If what is given is no mapping.

    Examples
    --------
    >>> checked_state("Net", {"bias": np.zeros(2)}, {"bias": [1.0, 2.0]}, strict=True)
    {'bias': array([1., 2.])}
    """
    if not isinstance(given, Mapping):
        raise DTypeError(
            f"{owner}.load_state_dict: argument state expected a mapping from names to arrays, as {owner}.state_dict() "
            f"returns, got {type(given).__name__}; open a file first, as with np.load(path)"
        )
    missing = [name for name in mine if name not in given]
    unexpected = [name for name in given if name not in mine]
    arrays = {
        name: asarray(unwrap(given[name]), device=backend_of(old).device)
        for name, old in mine.items()
        if name in given
    }
    wrong = []
    for name, array in arrays.items():
        expected = asarray(mine[name]) if isinstance(mine[name], Real) else mine[name]
        if array.shape != expected.shape or array.dtype != expected.dtype:
            wrong.append(
                f"{name!r} ({array.dtype} {array.shape}, not {expected.dtype} {expected.shape})"
            )
    problems = [
        f"{what} {', '.join(names)}"
        for what, names in (
            ("missing", [repr(name) for name in missing] if strict else []),
            ("unexpected", [repr(name) for name in unexpected] if strict else []),
            ("wrong shape or dtype", wrong),
        )
        if names
    ]
    if problems:
        raise DataError(
            f"{owner}.load_state_dict: argument state expected what {owner}.state_dict() returns, "
            f"got {'; '.join(problems)}; build the object as it was when saved (nothing was loaded)"
        )
    return arrays
