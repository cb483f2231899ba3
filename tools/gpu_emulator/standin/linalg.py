"""`cupy.linalg`: failures give garbage silently, unless `cupyx.errstate(linalg="raise")`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tools.gpu_emulator.standin.array import ndarray, silent, unwrap, wrap
from tools.gpu_emulator.standin.counters import called, synchronised
from tools.gpu_emulator.standin.functions import from_numpy
from tools.gpu_emulator.standin.surface import check_call

# routines that check their own status
REPORTING = ("cholesky", "eigh", "eigvalsh", "inv", "qr", "solve", "svd")
_raises = False


@contextmanager
def errstate(*, linalg: str | None = None) -> Iterator[None]:
    """Set whether routines wait for their status and raise ("raise") or not ("ignore")."""
    global _raises  # noqa: PLW0603  # as in CuPy it is a state of the thread
    if linalg not in (None, "raise", "ignore"):
        raise ValueError(f"errstate: linalg expected 'raise' or 'ignore', got {linalg!r}")
    before = _raises
    _raises = before if linalg is None else linalg == "raise"
    try:
        yield
    finally:
        _raises = before


def function(name: str) -> Callable[..., Any]:
    """Return a function of `cupy.linalg`."""
    return (
        _reporting(name)
        if name in REPORTING
        else from_numpy("cupy.linalg", name, getattr(np.linalg, name))
    )


def _reporting(name: str) -> Callable[..., Any]:
    host: Callable[..., Any] = getattr(np.linalg, name)

    @silent
    def routine(*args: Any, **options: Any) -> Any:
        check_call("cupy.linalg", name, args, options)
        matrices = [arg for arg in args if not isinstance(arg, str)]
        for matrix in matrices:
            if not isinstance(matrix, ndarray):
                raise TypeError(
                    f"cupy.linalg.{name}: expected arrays on the device, "
                    f"got {type(matrix).__name__}"
                )
            if matrix.dtype.char not in "fd" and matrix.dtype.kind not in "iub":
                raise TypeError(f"cupy.linalg.{name}: unsupported dtype {matrix.dtype}")
        called(f"linalg.{name}")
        if name == "solve":
            _check_solve(*matrices)
        if _raises:
            synchronised(f"the report of linalg.{name}")
        try:
            found = host(*map(unwrap, args), **options)
        except np.linalg.LinAlgError:
            if _raises or args[0].shape[-1] != args[0].shape[-2]:
                raise
            found = _garbage(
                host(
                    np.broadcast_to(np.eye(args[0].shape[-1]), args[0].shape),
                    *map(unwrap, args[1:]),
                )
            )
        return wrap(tuple(found) if isinstance(found, tuple) else found)

    return routine


def _check_solve(a: ndarray, b: ndarray) -> None:
    """Refuse shapes that CuPy refuses: only the axes of a single vector are broadcast."""
    if b.ndim == 0:
        raise ValueError("b must have at least one dimension")
    if a.shape[-1:] != b.shape if b.ndim == 1 else a.shape[:-1] != b.shape[:-1]:
        raise ValueError(
            "a must have (..., M, M) shape and b must have (..., M, K) for multidimensional b"
        )


def _garbage(found: Any) -> Any:
    """Return meaningless results of these shapes."""
    if isinstance(found, tuple):
        return tuple(map(_garbage, found))
    return np.full_like(found, np.nan)
