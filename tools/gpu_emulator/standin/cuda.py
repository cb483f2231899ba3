"""`cupy.cuda` for programs on one device: streams, events, the device and its properties."""

import time
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

from tools.gpu_emulator.standin.counters import synchronised

CAPABILITY = 90
# Of compute capability 9.0, from the table of the CUDA C++ Programming Guide, "Compute
# Capabilities".
LIMITS = SimpleNamespace(
    threads=1024, block=(1024, 1024, 64), grid=(2**31 - 1, 65535, 65535), shared=227 * 1024
)
# A kernel that uses more must set max_dynamic_shared_size_bytes.
SHARED_UNASKED = 48 * 1024


class Stream:
    """A queue of work, here executed immediately."""

    def __init__(
        self,
        null: bool = False,
        non_blocking: bool = False,
        ptds: bool = False,
        priority: Any = None,
    ) -> None:
        self.ptr = 0

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *exception: Any) -> None:
        pass

    def synchronize(self) -> None:
        """Wait for all work."""
        synchronised("stream.synchronize()")

    def record(self, event: "Event | None" = None) -> "Event":
        """Record an event."""
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event: "Event") -> None:
        """Make later work wait for an event, on the device."""


class Event:
    """A point in a stream."""

    def __init__(
        self, block: bool = False, disable_timing: bool = False, interprocess: bool = False
    ) -> None:
        self.moment = 0.0

    def record(self, stream: Any = None) -> None:
        """Record the time at which the stream reaches this point."""
        self.moment = time.perf_counter()

    def synchronize(self) -> None:
        """Wait until the stream reaches this point."""
        synchronised("event.synchronize()")


class Device:
    """The one device."""

    id = 0
    compute_capability = str(CAPABILITY)
    mem_info = (60 * 2**30, 80 * 2**30)
    # Clocks in kHz and bus width in bits, roughly those of an H100.
    attributes: ClassVar = {
        "ClockRate": 1_980_000,
        "MultiProcessorCount": 132,
        "MemoryClockRate": 2_619_000,
        "GlobalMemoryBusWidth": 5120,
    }

    def __init__(self, device: int | None = None) -> None:
        if device not in (None, 0):
            raise CUDARuntimeError("cudaErrorInvalidDevice: invalid device ordinal")

    def __enter__(self) -> "Device":
        return self

    def __exit__(self, *exception: Any) -> None:
        pass

    def synchronize(self) -> None:
        """Wait for all work of the device."""
        synchronised("device.synchronize()")


class CUDARuntimeError(RuntimeError):
    """An error of the CUDA runtime."""


class CUDADriverError(RuntimeError):
    """The driver's error for a launch that it refuses."""


Stream.null = Stream()  # type: ignore[attr-defined]


def _runtime() -> ModuleType:
    runtime = ModuleType("cupy.cuda.runtime")
    runtime.__dict__.update(
        CUDARuntimeError=CUDARuntimeError,
        getDeviceCount=lambda: 1,
        getDevice=lambda: 0,
        runtimeGetVersion=lambda: 13000,
        driverGetVersion=lambda: 13000,
        memGetInfo=lambda: Device.mem_info,
        getDeviceProperties=lambda device: {
            "name": b"Stand-in",
            "major": 9,
            "minor": 0,
            "totalGlobalMem": 80 * 2**30,
        },
        deviceSynchronize=lambda: synchronised("runtime.deviceSynchronize()"),
    )
    return runtime


def module() -> ModuleType:
    """Return the module `cupy.cuda`."""
    made = ModuleType("cupy.cuda")
    made.__dict__.update(
        Stream=Stream,
        Event=Event,
        Device=Device,
        runtime=_runtime(),
        nvrtc=SimpleNamespace(getVersion=lambda: (13, 0)),
        driver=SimpleNamespace(CUDADriverError=CUDADriverError),
        is_available=lambda: True,
        get_current_stream=lambda device_id=-1: Stream.null,  # type: ignore[attr-defined]
        get_elapsed_time=lambda start, end: 1000 * (end.moment - start.moment),
    )
    return made
