"""Launch a kernel: check its arguments and execute its blocks in batches."""

import math
import sys
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from tools.gpu_emulator.ptx.errors import BadLaunch
from tools.gpu_emulator.ptx.kernel import PARAMETERS, Kernel
from tools.gpu_emulator.ptx.link import link, size_of
from tools.gpu_emulator.ptx.machine import Machine, batches
from tools.gpu_emulator.ptx.memory import Window, array_windows
from tools.gpu_emulator.ptx.report import Report, Traffic
from tools.gpu_emulator.ptx.shadow import MAX_BLOCKS
from tools.gpu_emulator.ptx.steps import Compiled, compiled
from tools.gpu_emulator.ptx.syntax import Module, Variable, parse
from tools.gpu_emulator.ptx.types import constant, dtype_of
from tools.tracing import coverage_trace, resume

# limits of a block, compute capability 9.0
MAX_THREADS = 1024
MAX_SHARED = 227 * 1024
# limits of a batch: registers of this many lanes stay in the cache
LANES = 1 << 14
BATCH_MEMORY = 1 << 24


def launch(
    ptx: str,
    name: str,
    grid: int | Sequence[int],
    block: int | Sequence[int],
    args: Sequence[np.ndarray | np.generic],
    shared: int = 0,
    *,
    budget: int = 1_000_000,
) -> Report:
    """Execute a kernel on NumPy arrays, which it changes in place.

    Parameters
    ----------
    ptx
        Output of NVRTC.
    name
        Lowered name of the kernel.
    grid, block
        One to three extents, x first.
    args
        One per parameter: an array for a pointer to its first element (views with any
        strides are allowed), or a NumPy scalar of the parameter's size and kind.
    shared
        Bytes of dynamic shared memory.
    budget
        Steps of a batch of blocks after which a loop counts as endless; a step is one
        instruction for all lanes that execute it together.

    Returns
    -------
    Report
        Counters of the launch.

    Raises
    ------
    PTXError
        If the kernel makes a mistake; the subclass names the kind.
    """
    trace = coverage_trace()
    if trace:
        # The interpreter runs no code of the package, so coverage need not follow it.
        sys.settrace(None)
    try:
        with np.errstate(all="ignore"):
            # Integers wrap around and floats overflow, as on the hardware.
            return _launch(_compiled(ptx, name), grid, block, args, shared, budget)
    finally:
        if trace:
            resume(trace)


def _launch(code: Compiled, grid, block, args, shared: int, budget: int) -> Report:
    kernel = code.kernel
    grid = _extents(grid, "grid")
    block = _extents(block, "block")
    max_threads = min(MAX_THREADS, kernel.max_threads or MAX_THREADS)
    memory = kernel.shared_size + shared
    if math.prod(block) > max_threads or memory > MAX_SHARED or math.prod(grid) >= MAX_BLOCKS:
        raise BadLaunch(
            f"{kernel.name}: expected at most {MAX_BLOCKS - 1} blocks of {max_threads} threads "
            f"with {MAX_SHARED} bytes of shared memory, got {grid} blocks of {block} threads "
            f"with {memory} bytes"
        )
    windows, parameters = _arguments(kernel, args, code.grain["global"])
    windows += _variables(kernel)
    report = Report(kernel.name)
    traffic: dict[tuple[int, str], Traffic] = {}
    for blocks in batches(grid, block, kernel, shared, LANES, BATCH_MEMORY):
        Machine(
            code, grid, block, blocks, windows, parameters, shared, report, traffic, budget
        ).run()
    report.traffic = [traffic[at] for at in sorted(traffic)]
    return report


@lru_cache(maxsize=64)
def _module(ptx: str) -> Module:
    return parse(ptx)


@lru_cache(maxsize=256)
def _compiled(ptx: str, name: str) -> Compiled:
    return compiled(link(_module(ptx), name))


def _extents(value: int | Sequence[int], argument: str) -> tuple[int, int, int]:
    extents = (value,) if isinstance(value, int | np.integer) else tuple(value)
    if not 1 <= len(extents) <= 3 or min(extents) < 1:
        raise BadLaunch(f"argument {argument} expected one to three positive extents, got {value}")
    x, y, z = (*map(int, extents), 1, 1)[:3]
    return x, y, z


def _arguments(kernel: Kernel, args: Sequence, grain: int) -> tuple[list[Window], np.ndarray]:
    """Return windows onto the arrays, and the bytes of the parameters."""
    if len(args) != len(kernel.parameters):
        raise BadLaunch(
            f"{kernel.name}: expected {len(kernel.parameters)} arguments, got {len(args)}"
        )
    arrays = {}
    for i, arg in enumerate(args):
        if isinstance(arg, np.ndarray):
            arrays[f"argument {i}"] = arg
    windows, addresses = array_windows(arrays, grain)
    size = max((offset + size_of(v) for offset, v in kernel.parameters), default=0)
    memory = np.zeros(-(-size // 16) * 16, np.uint8)
    for i, (arg, (offset, variable)) in enumerate(zip(args, kernel.parameters, strict=True)):
        value = np.int64(addresses[f"argument {i}"]) if isinstance(arg, np.ndarray) else arg
        data = _bytes(value, i, variable)
        memory[offset : offset + len(data)] = data
    windows.append(Window(PARAMETERS, size, "param", "the parameters", memory, writable=False))
    return windows, memory


def _bytes(value: np.generic, number: int, variable: Variable) -> np.ndarray:
    expected = dtype_of(variable.type)
    size = size_of(variable)
    if not isinstance(value, np.generic):
        raise BadLaunch(
            f"argument {number} expected an array or a NumPy scalar, got {type(value).__name__}"
        )
    array = variable.count > 1 or variable.type == "b8"
    if value.dtype.itemsize != size or not (
        array or (value.dtype.kind == "f") == (expected.kind == "f")
    ):
        raise BadLaunch(
            f"argument {number} expected a .{variable.type} of {size} bytes, got {value.dtype}"
        )
    return np.frombuffer(value.tobytes(), np.uint8)


def _variables(kernel: Kernel) -> list[Window]:
    """Return windows onto the module's variables, at their initial values for each launch."""
    windows = []
    for address, variable in kernel.variables.values():
        dtype = dtype_of(variable.type)
        data = np.zeros(size_of(variable), np.uint8)
        values = [constant(word, dtype) for word in variable.values]
        data.view(dtype)[: len(values)] = values
        space = "global" if variable.space == "global" else "const"
        windows.append(
            Window(address, len(data), space, f"the table {variable.name}", data, writable=False)
        )
    return windows
