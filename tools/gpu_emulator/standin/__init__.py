"""A CuPy for machines without a GPU: it runs on NumPy, and takes only what CuPy 14 takes.

`CUPY` stands for the module `cupy`, `CUPYX` for `cupyx`; `modules()` has all for
`sys.modules`, where the fixtures `standin` and `plain` of `tools/gpu_emulator/fixtures.py` put
them. Names and arguments are those of the installed CuPy, or of the recorded table
(`surface.py`). Beyond that, of what CuPy does or refuses:

- what is on the host and on the device does not mix, but for scalars; `np.asarray(x)` and `np.exp(x)` raise
- every result is an array, also of no axis
- ufuncs take `out`, `dtype` and `casting`; they reduce by addition and multiplication, and `add.at` has few dtypes
- an index out of range raises (CuPy wraps it), and so does `x[i] = v` where a place comes twice (CuPy: not defined)
- nothing warns, of an overflow or of a division by zero
- memory that was reserved only is filled with NaN
- linear algebra that fails gives NaN, unless `cupyx.errstate(linalg="raise")`
- where the host waits for the device is counted (`counters.py`)
- `RawModule` compiles with NVRTC, and the PTX is interpreted (`module.py`)

`cupy.random` is missing on purpose: what is random is drawn on the host.
"""

from tools.gpu_emulator.standin.counters import COUNTERS, Counters
from tools.gpu_emulator.standin.namespace import CUPY, CUPYX, modules

__all__ = ["COUNTERS", "CUPY", "CUPYX", "Counters", "modules"]
