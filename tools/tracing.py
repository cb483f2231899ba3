"""Coverage's trace function, to be switched off where it has nothing to see."""

from __future__ import annotations

import sys
from typing import Any


def coverage_trace() -> Any:
    """Return the trace function of coverage.py that is active, or None; a debugger's stays."""
    trace = sys.gettrace()
    return trace if hasattr(trace, "data") else None


def resume(trace: Any) -> None:
    """Trace again after `sys.settrace(None)` in a frame that was traced itself.

    The trace function of coverage.py, written in C, takes over at the next call. That
    call is made here, so that it does not miss the return of the caller's frame.
    """
    sys.settrace(trace)
    _call()


def _call() -> None:
    pass
