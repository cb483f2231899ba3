"""A CuPy for machines without a GPU, which computes with NumPy.

It accepts only what CuPy 14 accepts.

`CUPY` stands for the module `cupy`, `CUPYX` for `cupyx`; `modules()` returns all for
`sys.modules`, where the fixtures `standin` and `plain` of
`tools/gpu_emulator/fixtures.py` put them. Names and arguments are those of the
installed CuPy, or of the recorded table (`surface.py`). Further behaviour of CuPy that
is modelled:

- arrays on the host and on the device do not mix; `np.asarray(x)` and `np.exp(x)` raise
- every result is an array, also a 0-d one
- ufuncs take `out`, `dtype` and `casting`; only addition and multiplication reduce
- `add.at` has few dtypes
- an index out of range raises (CuPy wraps it)
- `x[i] = v` with repeated positions raises (CuPy: undefined)
- nothing warns of an overflow or a division by zero
- uninitialised memory is filled with NaN
- linear algebra that fails gives NaN, unless `cupyx.errstate(linalg="raise")`
- each time the host waits for the device is counted (`counters.py`)
- `RawModule` compiles with NVRTC, and the PTX is interpreted (`module.py`)

`cupy.random` is missing on purpose: random numbers are drawn on the host.
"""

from tools.gpu_emulator.standin.counters import COUNTERS, Counters
from tools.gpu_emulator.standin.namespace import CUPY, CUPYX, modules

__all__ = ["COUNTERS", "CUPY", "CUPYX", "Counters", "modules"]
