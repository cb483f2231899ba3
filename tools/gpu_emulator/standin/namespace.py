"""The modules `cupy`, its submodules and `cupyx`; their contents are made on first use."""

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from tools.gpu_emulator.standin import cuda, linalg
from tools.gpu_emulator.standin.array import ndarray, silent, unwrap, wrap
from tools.gpu_emulator.standin.counters import called
from tools.gpu_emulator.standin.functions import OWN, from_numpy
from tools.gpu_emulator.standin.module import RawKernel, RawModule
from tools.gpu_emulator.standin.surface import entry, table
from tools.gpu_emulator.standin.ufunc import FUNCTIONS, ufunc


class Namespace(ModuleType):
    """A module with the contents of CuPy's module of the same name."""

    def __init__(self, name: str, make: Callable[[str], Any], **contents: Any) -> None:
        super().__init__(name)
        # Marks a package: its submodules are found in sys.modules.
        self.__path__: list[str] = []
        self.__dict__.update(contents)
        self._make = make

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        made = self._make(name)
        setattr(self, name, made)
        return made


def _of_cupy(name: str) -> Any:
    """Return the object that `cupy` has under a name."""
    kind = entry("cupy", name)["kind"]
    if name in FUNCTIONS:
        return FUNCTIONS[name]
    if name in OWN:
        return OWN[name]
    if kind == "module" or not hasattr(np, name):
        # The only modules are the ones below; random is not among them.
        raise AttributeError(f"the stand-in has no cupy.{name} yet, which CuPy has: see {__file__}")
    host = getattr(np, name)
    # The others are dtypes, finfo, newaxis, pi.
    return from_numpy("cupy", name, host) if kind == "function" else host


def _of_linalg(name: str) -> Any:
    kind = entry("cupy.linalg", name)["kind"]
    return linalg.function(name) if kind == "function" else getattr(np.linalg, name)


# of the functions that CuPy has, those that operations use
_SPECIAL = "digamma erf erfc erfinv gammaln i0e i1e logit ndtr polygamma xlogy".split()


def _of_special(name: str) -> Any:
    if name not in _SPECIAL:
        raise AttributeError(f"the stand-in has no cupyx.scipy.special.{name}; see {__file__}")
    host = getattr(importlib.import_module("scipy.special"), name)

    @silent
    def function(*args: Any) -> Any:
        called(name)
        if not any(isinstance(arg, ndarray) for arg in args):
            raise TypeError(f"cupyx.scipy.special.{name}: expected an array on the device")
        return wrap(np.asarray(host(*map(unwrap, args))), args)

    return function


def _of_stride_tricks(name: str) -> Any:
    return from_numpy("cupy.lib.stride_tricks", name, getattr(np.lib.stride_tricks, name))


def _nothing_more(name: str) -> Any:
    raise AttributeError(f"the stand-in has no {name} here; see {__file__}")


_CUDA = cuda.module()
_LINALG = Namespace("cupy.linalg", _of_linalg)
_TRICKS = Namespace("cupy.lib.stride_tricks", _of_stride_tricks)
_LIB = Namespace("cupy.lib", _nothing_more, stride_tricks=_TRICKS)
CUPY = Namespace(
    "cupy",
    _of_cupy,
    __version__=table()["version"]["cupy"],
    ndarray=ndarray,
    ufunc=ufunc,
    cuda=_CUDA,
    linalg=_LINALG,
    lib=_LIB,
    RawModule=RawModule,
    RawKernel=RawKernel,
)
_SPECIAL_FUNCTIONS = Namespace("cupyx.scipy.special", _of_special)
_SCIPY = Namespace("cupyx.scipy", _nothing_more, special=_SPECIAL_FUNCTIONS)
CUPYX = Namespace("cupyx", _nothing_more, errstate=linalg.errstate, scipy=_SCIPY)


def modules() -> dict[str, ModuleType]:
    """Return the modules by name, for `sys.modules`."""
    cupy = (CUPY, _CUDA, _CUDA.runtime, _LINALG, _LIB, _TRICKS)
    return {module.__name__: module for module in (*cupy, CUPYX, _SCIPY, _SPECIAL_FUNCTIONS)}
