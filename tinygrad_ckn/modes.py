"""What a thread has switched on: recording of the graph, and the search for the first NaN."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PACKAGE = str(Path(__file__).parent)


class Modes(threading.local):
    """The switches of one thread."""

    recording: bool = True
    anomaly: bool = False


modes = Modes()


@contextmanager
def recording(switch: bool) -> Iterator[None]:
    """Set whether operations on Tensors are recorded, in this thread, for a block."""
    before, modes.recording = modes.recording, switch
    try:
        yield
    finally:
        modes.recording = before


@contextmanager
def no_grad() -> Iterator[None]:
    """Record nothing within the block (or the decorated function): faster, and nothing is retained.

    Examples
    --------
    >>> from tinygrad_ckn import Tensor, no_grad
    >>> w = Tensor([1.0, 2.0], requires_grad=True)
    >>> with no_grad():
    ...     y = w * 2
    >>> y.requires_grad
    False
    """
    with recording(False):
        yield


@contextmanager
def enable_grad() -> Iterator[None]:
    """Record again, within a `no_grad` block.

    Examples
    --------
    >>> from tinygrad_ckn import Tensor, enable_grad, no_grad
    >>> w = Tensor([1.0, 2.0], requires_grad=True)
    >>> with no_grad(), enable_grad():
    ...     y = w * 2
    >>> y.requires_grad
    True
    """
    with recording(True):
        yield


@contextmanager
def detect_anomaly() -> Iterator[None]:
    """Raise a GradientError at the first NaN or infinity, naming the operation and the line of yours that called it.

    Slow: every result is looked at. The forward must run inside the block for the lines to be known in backward.

    Examples
    --------
    >>> from tinygrad_ckn import Tensor, detect_anomaly, ops
    >>> with detect_anomaly():
    ...     ops.inv(Tensor([[1.0, 0.0], [0.0, 4.0]])).item(1, 1)
    0.25
    """
    before, modes.anomaly = modes.anomaly, True
    try:
        yield
    finally:
        modes.anomaly = before


def users_line() -> str:
    """Return 'file:line' of the innermost caller outside this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
