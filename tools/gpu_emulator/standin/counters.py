"""What the stand-in counts: where the host waited for the device, what was copied between them, what was launched.

The host waits
- for a value: `float(x)`, `int(x)`, `bool(x)` and so `if x`, `x.item()`, `x.tolist()`, `x.get()`, `asnumpy(x)`, the
  text of an array;
- for a size: a boolean mask as an index, `nonzero` and `where(condition)`, `argwhere`, `unique`, `bincount`, and what
  else the documentation of CuPy says may synchronize the device (`surface.json` has it);
- for the report of a linear algebra routine, once a call, under `cupyx.errstate(linalg="raise")`;
- where it is told to: `synchronize()` of a stream, an event or a device.

A copy to the device is none: CuPy stages it in pinned memory and goes on.

`launches` are of kernels of ours. `calls` are of functions of CuPy's that compute:
elementwise, reductions, products, linear algebra, and all others but those that make
views; each launches a kernel at least, which one is CuPy's affair.
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path

_HERE = str(Path(__file__).parent)


@dataclass
class Counters:
    """Each list has a line for each event: what it was, and the line of code that led to it."""

    synchronisations: list[str] = field(default_factory=list)
    to_device: list[str] = field(default_factory=list)
    launches: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    def clear(self) -> None:
        """Begin to count anew."""
        for events in (self.synchronisations, self.to_device, self.launches, self.calls):
            events.clear()


COUNTERS = Counters()


def synchronised(what: str) -> None:
    """Count that the host waited."""
    COUNTERS.synchronisations.append(f"{what} at {_caller()}")


def copied_to_device(what: str) -> None:
    """Count a copy from the host to the device."""
    COUNTERS.to_device.append(f"{what} at {_caller()}")


def launched(what: str) -> None:
    """Count the launch of a kernel."""
    COUNTERS.launches.append(what)


def called(what: str) -> None:
    """Count a call of CuPy's that computes: a launch of a kernel of its own, or of a library's, at least."""
    COUNTERS.calls.append(what)


def _caller() -> str:
    """Return 'file:line' of the innermost caller outside this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HERE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
