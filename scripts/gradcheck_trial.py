"""Test the gradient checker on correct gradients and on planted faults.

    python scripts/gradcheck_trial.py                  # 500 draws per function, 20 seeds per fault
    python scripts/gradcheck_trial.py --draws 50 --seeds 5

The correct gradients are hard to check. Each function prints one line: how often its
gradient is called wrong, not differentiable or undecided. Each fault prints one line:
the number of seeds at which it is detected. The exit status is 1 if there is a false
alarm or a missed fault.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_ckn import Tensor, ops
from tinygrad_ckn.backend import Array
from tinygrad_ckn.errors import CKNError
from tinygrad_ckn.models.kernels import Exponential
from tinygrad_ckn.primitive import REGISTRY, primitive
from tinygrad_ckn.testing import gradcheck

Random = np.random.Generator
Draw = Callable[[Random], list[Any]]


def normal(*shapes: tuple[int, ...]) -> Draw:
    """Return a function that draws normal arrays."""
    return lambda r: [r.normal(size=shape) for shape in shapes]


def decades(low: float, high: float, n: int, *, signed: bool = False) -> Draw:
    """Return a function that draws n numbers spread evenly over powers of ten."""
    return lambda r: [10 ** r.uniform(low, high, n) * (r.choice([-1.0, 1.0], n) if signed else 1.0)]


def spread_matrix(r: Random) -> list[Any]:
    """Draw a symmetric matrix with eigenvalues over six decades."""
    q = np.linalg.qr(r.normal(size=(4, 4)))[0]
    return [(q * 10 ** r.uniform(-6, 0, 4)) @ q.T]


def near_filters(r: Random) -> list[Any]:
    """Draw images and unit filters, two of them nearly equal."""
    z = r.normal(size=(4, 9))
    z[3] = z[0] + 1e-3 * r.normal(size=9)
    return [
        r.normal(size=(2, 1, 5, 5)),
        (z / np.linalg.norm(z, axis=1, keepdims=True)).reshape(4, 1, 3, 3),
    ]


def symmetric(a: Any) -> Any:
    """Return the symmetric part of a matrix."""
    return 0.5 * (a + a.T)


def huber(x: Any) -> Any:
    """Return the Huber loss with delta 1."""
    return ops.where(ops.abs(x).data < 1, 0.5 * x * x, ops.abs(x) - 0.5)


def largest_three(x: Any) -> Any:
    """Return the three largest elements, in order."""
    return x[np.argsort(x.data)[-3:]]


def kernel(x: Any, y: Any) -> Any:
    """Return exp(-50 |x - y|^2) for all pairs of rows."""
    return ops.exp(-50 * ((x.reshape(4, 1, 3) - y.reshape(1, 4, 3)) ** 2).sum(axis=-1))


def nystrom(x: Any, z: Any) -> Any:
    """Return the output of a CKN layer with its Nystrom factor."""
    flat = z.reshape(4, 9)
    factor = ops.inverse_sqrt(ops.kappa_exponential(flat @ flat.T, 2.0), eps=1e-3)
    return ops.ckn_map(x, 0.9 * z, Exponential.of_alpha(2.0).fused(), factor, subsampling=2)


RIGHT: dict[str, tuple[Callable[..., Any], Draw]] = {
    "relu (100,)": (ops.relu, normal((100,))),
    "leaky relu (100,)": (lambda x: ops.where(x.data > 0, x, 0.1 * x), normal((100,))),
    "maximum (20,), (20,)": (ops.maximum, normal((20,), (20,))),
    "minimum (20,), (20,)": (ops.minimum, normal((20,), (20,))),
    "abs (100,)": (ops.abs, normal((100,))),
    "clip (100,)": (lambda x: ops.clip(x, -0.5, 1.0), normal((100,))),
    "max_pool2d 1x2x8x8": (lambda x: ops.max_pool2d(x, 2), normal((1, 2, 8, 8))),
    "max over rows 10x8": (lambda x: x.max(axis=1), normal((10, 8))),
    "largest three of 30": (largest_three, normal((30,))),
    "relu MLP 8x4x16x2": (lambda x, w, v: ops.relu(x @ w) @ v, normal((8, 4), (4, 16), (16, 2))),
    "hinge of a linear map": (lambda x, w: ops.relu(1 - x @ w).mean(), normal((20, 5), (5,))),
    "squared hinge 6x4": (lambda x: ops.squared_hinge(x, np.arange(6) % 4), normal((6, 4))),
    "huber (100,)": (huber, normal((100,))),
    "|x|**1.5 (50,)": (lambda x: ops.abs(x) ** 1.5, normal((50,))),
    "sqrt, 1e-6 to 10": (ops.sqrt, decades(-6, 1, 20)),
    "log, 1e-12 to 10": (ops.log, decades(-12, 1, 20)),
    "1/x, 1e-3 to 10": (lambda x: 1 / x, decades(-3, 1, 20, signed=True)),
    "x**-2, 1e-2 to 10": (lambda x: x**-2.0, decades(-2, 1, 20)),
    "norm of rows near 0": (
        lambda x: ops.norm(x, axis=1),
        lambda r: [r.normal(size=(5, 3)) * 10 ** r.uniform(-6, 0, (5, 1))],
    ),
    "sin(1000 x)": (lambda x: ops.sin(1000 * x), normal((10,))),
    "tanh(1e4 x), |x| < 1e-3": (
        lambda x: ops.tanh(1e4 * x),
        lambda r: [1e-3 * r.uniform(-1, 1, 10)],
    ),
    "softmax(50 x)": (lambda x: ops.softmax(50 * x), normal((2, 5))),
    "exp(-50 |x - y|^2)": (kernel, normal((4, 3), (4, 3))),
    "cross_entropy(30 x)": (
        lambda x: ops.cross_entropy(30 * x, np.array([0, 1, 2])),
        normal((3, 4)),
    ),
    "inverse_sqrt, 1e-6 to 1": (lambda a: ops.inverse_sqrt(symmetric(a), eps=1e-9), spread_matrix),
    "CKN layer, near filters": (nystrom, near_filters),
}


def square(xp: Any, x: Array) -> Any:
    """Return x * x."""
    return x * x


def product(xp: Any, a: Array, b: Array) -> Any:
    """Return a * b."""
    return a * b


def matrix_product(xp: Any, a: Array, b: Array) -> Any:
    """Return a @ b."""
    return a @ b


def row_sums(xp: Any, x: Array) -> Any:
    """Return the sums along the rows."""
    return x.sum(axis=1)


def clipped(xp: Any, x: Array) -> Any:
    """Return min(max(x, 0), 1)."""
    return xp.minimum(xp.maximum(x, 0), 1)


def magnitude(xp: Any, x: Array) -> Any:
    """Return |x|."""
    return abs(x)


def raw(x: Any) -> Any:
    """Return the array of a Tensor."""
    return x.data if isinstance(x, Tensor) else x


def at(k: int, value: float, like: Any) -> Any:
    """Return an array of ones with another value at one position."""
    ones = np.ones(like.shape)
    ones.reshape(-1)[k % ones.size] = value
    return ones


_noise = np.random.default_rng(0)
_count = itertools.count()
_stale: list[Any] = []


def stale(g: Any, x: Any) -> Any:
    """Return the gradient at the first point for which it was requested."""
    _stale.append(raw(x).copy())
    return 2 * g * _stale[0]


small = normal((3, 4))
# A fault: the forward, the wrong rules, inputs, and whether only order 2 detects it.
FAULTS: dict[str, tuple[Callable[..., Any], dict[str, Callable[..., Any]], Draw, int]] = {
    "wrong sign at one element": (square, {"x": lambda g, x: 2 * g * x * at(5, -1, x)}, small, 1),
    "wrong at one of 3000": (
        square,
        {"x": lambda g, x: 2 * g * x * at(1500, 1.5, x)},
        normal((3000,)),
        1,
    ),
    "factor 2": (square, {"x": lambda g, x: 4 * g * x}, small, 1),
    "off by 1e-6 everywhere": (square, {"x": lambda g, x: (2 + 2e-6) * g * x}, small, 1),
    "off by 1e-6, 1000 elements": (
        square,
        {"x": lambda g, x: (2 - 2e-6) * g * x},
        normal((1000,)),
        1,
    ),
    "a term is missing": (
        product,
        {"a": lambda g, b: g * b, "b": lambda g, a: 0 * g * a},
        normal((4,), (4,)),
        1,
    ),
    "no rule's result (None)": (square, {"x": lambda: None}, small, 1),
    "zeros": (square, {"x": lambda g: 0 * g}, small, 1),
    "a sum for broadcasting is missing": (
        product,
        {"a": lambda g, b: g * b, "b": lambda g, a, b_shape: (g * a)[:1].reshape(b_shape)},
        normal((3, 4), (4,)),
        1,
    ),
    "a mean for a sum": (
        product,
        {"a": lambda g, b: g * b, "b": lambda g, a: (g * a).mean(axis=0)},
        normal((3, 4), (4,)),
        1,
    ),
    "transposed": (
        matrix_product,
        {"a": lambda g, b: g @ b, "b": lambda g, a: a.T @ g},
        normal((3, 3), (3, 3)),
        1,
    ),
    "wrong axis": (
        row_sums,
        {"x": lambda g: 0 * g.reshape(-1, 1) + g.reshape(1, -1)},
        normal((3, 3)),
        1,
    ),
    "a stale value": (square, {"x": stale}, small, 1),
    "NaN at one element": (square, {"x": lambda g, x: 2 * g * x * at(7, np.nan, x)}, small, 1),
    "only the second order": (square, {"x": lambda g, x: 2 * g * raw(x)}, small, 2),
    "float32 inside": (square, {"x": lambda g, x: (2 * g * x).astype("float32")}, small, 1),
    "a random factor": (
        square,
        {"x": lambda g, x: 2 * g * x * (1 + 1e-5 * _noise.normal())},
        small,
        1,
    ),
    "no sign of |x|": (magnitude, {"x": lambda g: g}, small, 1),
    "wrong where x is negative": (
        square,
        {"x": lambda g, x: 2 * g * x * np.where(raw(x) < 0, 1.01, 1)},
        small,
        1,
    ),
    "wrong for strided inputs": (
        square,
        {"x": lambda g, x: 2 * g * x * (1.0 if raw(x).flags.c_contiguous else 0.5)},
        small,
        1,
    ),
    "wrong for a strided gradient": (
        square,
        {"x": lambda g, x: 2 * g * x * (1.0 if raw(g).flags.c_contiguous else 0.5)},
        small,
        1,
    ),
    "wrong for an expanded gradient": (
        square,
        {"x": lambda g, x: 2 * g * x * (0.5 if 0 in raw(g).strides else 1.0)},
        small,
        1,
    ),
    "upstream gradient ignored": (square, {"x": lambda x: 2 * x}, small, 1),
    "passes beyond the bounds of a clip": (
        clipped,
        {"x": lambda g, x: g * (raw(x) > 0)},
        lambda r: [2 * r.normal(size=20)],
        1,
    ),
    "not linear in the gradient": (square, {"x": lambda g, x: 2 * g * g * x}, small, 1),
}


def planted(name: str) -> tuple[Any, str]:
    """Return a primitive with a fault, and its name in the registry."""
    forward, rules, _, _ = FAULTS[name]
    label = f"planted_{next(_count)}"
    made = primitive(name=label, broadcasts=forward is product)(forward)
    made.vjp(**rules)
    return made, label


def verdicts(name: str, order: int, draws: int, start: int = 0) -> tuple[Counter[str], str]:
    """Return the counts of verdicts on a correct gradient, and the first wrong one's message."""
    function, make = RIGHT[name]
    counts: Counter[str] = Counter()
    first = ""
    for seed in range(start, start + draws):
        report = gradcheck(
            function,
            make(np.random.default_rng(seed)),
            order=order,
            seed=seed,
            raise_exception=False,
        )
        counts[report.verdict] += 1
        if not report and not first:
            first = f"seed {seed}: {report.message}"
    return counts, first


def caught(name: str, seeds: int) -> int:
    """Return the number of seeds at which a fault is detected."""
    count = 0
    for seed in range(seeds):
        _stale.clear()
        made, label = planted(name)
        inputs = FAULTS[name][2](np.random.default_rng(seed))
        if name == "a stale value":
            made(Tensor(inputs[0] + 1, requires_grad=True)).sum().backward()
        try:
            gradcheck(made, inputs, order=FAULTS[name][3], seed=seed)
        except CKNError:
            count += 1
        finally:
            del REGISTRY[label]
    return count


def main() -> int:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--draws", type=int, default=500, help="draws of each function and order (default 500)"
    )
    parser.add_argument("--seeds", type=int, default=20, help="seeds of each fault (default 20)")
    parser.add_argument("--only", default="", help="only functions whose name contains this")
    options = parser.parse_args()
    alarms = missed = 0
    print(
        f"{'correct gradients':32} {'order':>5} {'draws':>6} {'wrong':>6} {'kink':>6} "
        f"{'undecided':>9} {'seconds':>8}"
    )
    for name, order in itertools.product((n for n in RIGHT if options.only in n), (1, 2)):
        start = time.perf_counter()
        counts, first = verdicts(name, order, options.draws)
        spent = time.perf_counter() - start
        bad = [counts[word] for word in ("wrong", "not differentiable", "undecided")]
        alarms += sum(bad)
        print(
            f"{name:32} {order:5} {options.draws:6} {bad[0]:6} {bad[1]:6} {bad[2]:9} {spent:8.1f}",
            flush=True,
        )
        if first:
            print(f"    {first}")
    print(f"\n{'planted faults':40} {'found':>8}")
    for name in FAULTS if not options.only else ():
        count = caught(name, options.seeds)
        missed += options.seeds - count
        print(f"{name:40} {count:4}/{options.seeds}", flush=True)
    print(f"\n{alarms} false alarms, {missed} faults missed")
    return int(bool(alarms or missed))


if __name__ == "__main__":
    sys.exit(main())
