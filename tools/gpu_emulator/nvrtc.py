"""Compile CUDA C++ to PTX and machine code with NVRTC, under CuPy's fixed options.

It needs no GPU and no driver.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# cupy.RawModule always adds these (cupy/cuda/compiler.py).
FIXED_OPTIONS = ("-ftz=true", "--device-as-default-execution-space")
# These add source lines to the PTX, and registers, spills and shared memory to the log.
# They change no instruction.
DIAGNOSTIC_OPTIONS = ("--generate-line-info", "--ptxas-options=-v")


class CompilationError(Exception):
    """NVRTC refused a source; the message is its log."""


@dataclass(frozen=True)
class Program:
    """The results of compiling one source.

    Attributes
    ----------
    ptx
        Text that `tools.gpu_emulator.ptx` executes.
    cubin
        Machine code for the requested architecture.
    log
        Warnings, and ptxas's figures for each kernel: registers, spills, shared memory.
    names
        Mangled name in `ptx` of each name expression.
    """

    ptx: str
    cubin: bytes
    log: str
    names: Mapping[str, str]


def missing() -> str | None:
    """Return a sentence on why NVRTC is not available; None if it is."""
    try:
        from cupy_backends.cuda.libs import nvrtc

        nvrtc.getVersion()
    except (ImportError, RuntimeError) as error:
        # CuPy is missing, or the library is.
        return (
            f"NVRTC is not installed ({error}): "
            "pip install nvidia-cuda-nvrtc==13.0.88 'cupy-cuda13x>=14'"
        )
    return None


def compile(
    source: str, expressions: Sequence[str], *, arch: int = 90, options: Sequence[str] = ()
) -> Program:
    """Compile `source`, or load the result of an earlier compilation on this machine.

    Results are cached in the folder $NVRTC_CACHE, by default within the folder of
    temporary files; failed compilations are not.

    Parameters
    ----------
    source
        CUDA C++.
    expressions
        Kernels to instantiate, as C++ names them: "scale<float>".
    arch
        Compute capability times ten, such as 75 or 90.
    options
        Further options of NVRTC, such as "-std=c++17".

    Raises
    ------
    CompilationError
        If NVRTC refuses the source; the message is its log.
    """
    return _compile(source, tuple(expressions), arch, tuple(options))


@cache
def _compile(
    source: str, expressions: tuple[str, ...], arch: int, options: tuple[str, ...]
) -> Program:
    from cupy_backends.cuda.libs import nvrtc

    options = (*options, f"--gpu-architecture=sm_{arch}", *FIXED_OPTIONS, *DIAGNOSTIC_OPTIONS)
    request = repr((nvrtc.getVersion(), source, expressions, options))
    path = _cache_folder() / f"{hashlib.sha256(request.encode()).hexdigest()}.json"
    try:
        stored = json.loads(path.read_text())
        return Program(**{**stored, "cubin": bytes.fromhex(stored["cubin"])})
    except (OSError, ValueError):
        program = _compile_uncached(source, expressions, options)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Replaced in one step, because another process may be writing the same file.
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        json.dump({**vars(program), "cubin": program.cubin.hex()}, file)
    Path(file.name).replace(path)
    return program


def _cache_folder() -> Path:
    default = Path(tempfile.gettempdir()) / f"tinygrad-ckn-nvrtc-{os.getuid()}"
    return Path(os.environ.get("NVRTC_CACHE", default))


def _compile_uncached(
    source: str, expressions: tuple[str, ...], options: tuple[str, ...]
) -> Program:
    from cupy_backends.cuda.libs import nvrtc

    program = nvrtc.createProgram(source, "kernel.cu", (), ())
    try:
        for expression in expressions:
            nvrtc.addNameExpression(program, expression)
        try:
            nvrtc.compileProgram(program, options)
        except nvrtc.NVRTCError:
            raise CompilationError(nvrtc.getProgramLog(program)) from None
        names = {
            expression: nvrtc.getLoweredName(program, expression) for expression in expressions
        }
        ptx = nvrtc.getPTX(program).decode()
        return Program(ptx, nvrtc.getCUBIN(program), nvrtc.getProgramLog(program), names)
    finally:
        nvrtc.destroyProgram(program)
