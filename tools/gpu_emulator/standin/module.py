"""`RawModule` and `RawKernel`: compiled by NVRTC and run by `tools.gpu_emulator.ptx`.

A launch is refused if the driver would refuse it, by the limits of compute capability
9.0 and by the shared memory that a kernel was granted. Arguments are those of CuPy:
arrays are pointers to their first element, a Python int is an int64, a float a float64,
a bool a bool; a NumPy scalar has its own dtype, which the interpreter compares with the
parameter.
"""

import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tools.gpu_emulator import nvrtc
from tools.gpu_emulator.standin.array import ndarray
from tools.gpu_emulator.standin.counters import launched
from tools.gpu_emulator.standin.cuda import CAPABILITY, LIMITS, SHARED_UNASKED, CUDADriverError


class Function:
    """A kernel of a module, called with grid, block and arguments."""

    def __init__(self, name: str, program: nvrtc.Program) -> None:
        self.name = name
        self._program = program
        self.max_dynamic_shared_size_bytes = SHARED_UNASKED

    def __call__(
        self,
        grid: Sequence[int],
        block: Sequence[int],
        args: Sequence[Any],
        *,
        shared_mem: int = 0,
        stream: Any = None,
    ) -> None:
        """Run the kernel."""
        from tools.gpu_emulator import ptx

        threads = math.prod(block)
        if (
            not all(1 <= n <= limit for n, limit in zip(block, LIMITS.block, strict=False))
            or threads > LIMITS.threads
        ):
            raise CUDADriverError(f"CUDA_ERROR_INVALID_VALUE: {self.name}: block {tuple(block)}")
        if not all(1 <= n <= limit for n, limit in zip(grid, LIMITS.grid, strict=False)):
            raise CUDADriverError(f"CUDA_ERROR_INVALID_VALUE: {self.name}: grid {tuple(grid)}")
        if shared_mem > min(self.max_dynamic_shared_size_bytes, LIMITS.shared):
            raise CUDADriverError(
                f"CUDA_ERROR_INVALID_VALUE: {self.name}: expected at most "
                f"{self.max_dynamic_shared_size_bytes} bytes of shared memory, got {shared_mem}; "
                "set max_dynamic_shared_size_bytes"
            )
        launched(self.name)
        lowered = self._program.names.get(self.name, self.name)
        values = [_argument(self.name, i, arg) for i, arg in enumerate(args)]
        ptx.launch(self._program.ptx, lowered, tuple(grid), tuple(block), values, shared=shared_mem)


def _argument(kernel: str, number: int, arg: Any) -> Any:
    """Return an argument in the form that the interpreter takes."""
    if isinstance(arg, ndarray):
        return arg._host
    if isinstance(arg, np.generic):
        return arg
    for kind, dtype in ((bool, np.bool_), (int, np.int64), (float, np.float64)):
        if type(arg) is kind:
            return dtype(arg)
    raise TypeError(f"{kernel}: argument {number}: Unsupported type {type(arg)}")


class RawModule:
    """CUDA C++, compiled when one of its functions is first requested."""

    def __init__(
        self,
        *,
        code: str | None = None,
        path: str | None = None,
        options: Sequence[str] = (),
        backend: str = "nvrtc",
        translate_cucomplex: bool = False,
        enable_cooperative_groups: bool = False,
        name_expressions: Sequence[str] | None = None,
        jitify: bool = False,
    ) -> None:
        if (code is None) == (path is None):
            raise TypeError("Exactly one of `code` and `path` keyword arguments must be given.")
        if backend != "nvrtc" or translate_cucomplex or enable_cooperative_groups or jitify:
            raise NotImplementedError(
                "the stand-in compiles with NVRTC, and has no cooperative groups"
            )
        if name_expressions is not None and not any(
            "-std=c++" in o or "--std=c++" in o for o in options
        ):
            raise ValueError(
                "need a C++ compiler: name_expressions need an option such as -std=c++17"
            )
        self.code = code if code is not None else Path(path or "").read_text()
        self.options = tuple(options)
        self.name_expressions = tuple(name_expressions or ())

    @cached_property
    def _program(self) -> nvrtc.Program:
        return nvrtc.compile(
            self.code, self.name_expressions, arch=CAPABILITY, options=self.options
        )

    def compile(self, log_stream: Any = None) -> None:
        """Compile now."""
        _ = self._program

    def get_function(self, name: str) -> Function:
        """Return a kernel by its name expression, or by its own name if it is extern "C"."""
        if name not in self.name_expressions and f".entry {name}(" not in self._program.ptx:
            raise CUDADriverError(f"CUDA_ERROR_NOT_FOUND: named symbol not found: {name}")
        return Function(name, self._program)


class RawKernel:
    """One extern "C" kernel."""

    def __init__(
        self, code: str, name: str, options: Sequence[str] = (), backend: str = "nvrtc"
    ) -> None:
        self.name = name
        self._module = RawModule(code=code, options=options, backend=backend)

    @cached_property
    def _function(self) -> Function:
        return self._module.get_function(self.name)

    def __call__(
        self, grid: Sequence[int], block: Sequence[int], args: Sequence[Any], *, shared_mem: int = 0
    ) -> None:
        """Run the kernel."""
        self._function(grid, block, args, shared_mem=shared_mem)
