"""An interpreter for PTX on NumPy, which checks every access; see tests/gpu/README.md."""

from tests.gpu.ptx.errors import (
    BadLaunch,
    BadShuffle,
    BarrierDivergence,
    EndlessLoop,
    Misaligned,
    NotKnown,
    OutOfBounds,
    PTXError,
    Race,
    ReadOnly,
    Trapped,
    Uninitialised,
)
from tests.gpu.ptx.launch import launch
from tests.gpu.ptx.report import Report, Traffic

__all__ = [
    "BadLaunch",
    "BadShuffle",
    "BarrierDivergence",
    "EndlessLoop",
    "Misaligned",
    "NotKnown",
    "OutOfBounds",
    "PTXError",
    "Race",
    "ReadOnly",
    "Report",
    "Traffic",
    "Trapped",
    "Uninitialised",
    "launch",
]
