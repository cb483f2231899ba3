"""Signals that end a training: Ctrl-C, and those of batch systems such as SLURM."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(KeyboardInterrupt):
    """A training was ended by a signal.

    Attributes
    ----------
    signal : int
        Its number; a command exits with 128 plus this.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.signal = number


class Signals:
    """The signal that a training received, if any.

    Attributes
    ----------
    received : int or None
        Number of the first signal.
    deferred : bool
        Whether the training asks for it between two steps, with `check`. If False, the
        signal raises where the program is.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self.deferred = False

    def check(self) -> None:
        """Raise Interrupted if a signal was received."""
        if self.received is not None:
            raise Interrupted(self.received)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        again = self.received is not None
        self.received = self.received or number
        if again or not self.deferred:
            raise Interrupted(self.received)


@contextmanager
def signals_caught() -> Iterator[Signals]:
    """Catch SIGINT and SIGTERM in a block, the handlers of Python restored afterwards.

    In other threads than the main one, which cannot have handlers, nothing is caught.

    Examples
    --------
    >>> with signals_caught() as signals:
    ...     signals.deferred = True
    ...     signal.raise_signal(signal.SIGTERM)
    ...     signals.received == signal.SIGTERM
    True
    """
    signals = Signals()
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, signals._handle) for number in numbers]
    try:
        yield signals
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
