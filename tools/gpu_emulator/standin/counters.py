"""Counters of the stand-in: waits for the device, copies, launches.

The host waits
- for a value: `float(x)`, `int(x)`, `bool(x)` and so `if x`, `x.item()`, `x.tolist()`,
  `x.get()`, `asnumpy(x)`, the text of an array;
- for a size: a boolean mask as an index, `nonzero` and `where(condition)`, `argwhere`,
  `unique`, `bincount`, and other functions that may synchronize the device according to
  CuPy's documentation (`surface.json` lists them);
- for the status of a linear algebra routine, once per call, under `cupyx.errstate(linalg="raise")`;
- on request: `synchronize()` of a stream, an event or a device.

A copy to the device is not a wait: CuPy stages it in pinned memory and continues.

`launches` counts the library's own kernels. `calls` counts calls of CuPy functions that
compute: elementwise functions, reductions, products, linear algebra and all others
except those that make views. Each launches at least one kernel of CuPy's.
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path

_HERE = str(Path(__file__).parent)


@dataclass
class Counters:
    """Each list has one line per event: its kind, and the line of code that caused it."""

    synchronisations: list[str] = field(default_factory=list)
    to_device: list[str] = field(default_factory=list)
    launches: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    def clear(self) -> None:
        """Reset all counters."""
        for events in (self.synchronisations, self.to_device, self.launches, self.calls):
            events.clear()


COUNTERS = Counters()


def synchronised(what: str) -> None:
    """Count a wait of the host."""
    COUNTERS.synchronisations.append(f"{what} at {_caller()}")


def copied_to_device(what: str) -> None:
    """Count a copy from the host to the device."""
    COUNTERS.to_device.append(f"{what} at {_caller()}")


def launched(what: str) -> None:
    """Count the launch of a kernel."""
    COUNTERS.launches.append(what)


def called(what: str) -> None:
    """Count a call of a CuPy function that computes, hence launches at least one kernel."""
    COUNTERS.calls.append(what)


def _caller() -> str:
    """Return 'file:line' of the innermost caller outside this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HERE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
