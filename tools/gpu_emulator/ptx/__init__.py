"""An interpreter for PTX on NumPy that checks every access; see ../README.md."""

from tools.gpu_emulator.ptx.errors import (
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
from tools.gpu_emulator.ptx.launch import launch
from tools.gpu_emulator.ptx.report import Report, Traffic

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
