"""Execute a single instruction, as PTX text with a kernel around it, and draw operands."""

import itertools

import numpy as np
from hypothesis import strategies as st

from tools.gpu_emulator.ptx import launch
from tools.gpu_emulator.ptx.types import TYPES

DRAWN = 24


def one(word, result, sources, columns, literal=""):
    """Execute one instruction on a column per source and return the column of results."""
    lines = [".version 9.0\n.target sm_90\n.address_size 64\n.visible .entry one("]
    lines += [",\n".join(f".param .u64 p{i}" for i in range(len(sources) + 1)), ")\n{"]
    lines += [".reg .b64 %at, %out; .reg .b32 %tid; .reg .pred %p;", "mov.u32 %tid, %tid.x;"]
    registers = [
        f"%{'f' if kind[0] == 'f' else 'r'}{kind[1:]}_{i}"
        for i, kind in enumerate([*sources, result])
    ]
    for register, kind in zip(registers, [*sources, result], strict=True):
        lines.append(f".reg .{'f' if kind[0] == 'f' else 'b'}{kind[1:]} {register};")
    for i, kind in enumerate([*sources, result]):
        size = TYPES[kind].itemsize
        lines += [f"ld.param.u64 %out, [p{i}];", f"mad.wide.u32 %at, %tid, {size}, %out;"]
        if i < len(sources):
            lines.append(f"ld.global.{kind} {registers[i]}, [%at];")
    names = registers[:-1] + ([literal] if literal else [])
    if word.startswith("setp"):
        lines += [f"{word} %p, {', '.join(names)};", f"selp.{result} {registers[-1]}, 1, 0, %p;"]
    else:
        lines.append(f"{word} {registers[-1]}, {', '.join(names)};")
    lines += [f"st.global.{result} [%at], {registers[-1]};", "ret;\n}"]
    out = np.zeros(len(columns[0]), TYPES[result])
    launch("\n".join(lines), "one", 1, len(out), [*columns, out])
    return out


def columns(kinds):
    """Draw an array for each type: all combinations of extremes, then random bytes."""
    extremes = [_extremes(TYPES[kind])[: 9 if len(kinds) < 3 else 6] for kind in kinds]
    rows = list(itertools.product(*extremes))
    fixed = [
        np.array(column, TYPES[kind])
        for column, kind in zip(zip(*rows, strict=True), kinds, strict=True)
    ]
    sizes = [DRAWN * TYPES[kind].itemsize for kind in kinds]
    drawn = st.tuples(*(st.binary(min_size=size, max_size=size) for size in sizes))
    return drawn.map(
        lambda parts: [
            np.concatenate([f, np.frombuffer(p, f.dtype)])
            for f, p in zip(fixed, parts, strict=True)
        ]
    )


def _extremes(dtype):
    if dtype.kind == "f":
        limits = np.finfo(dtype)
        small = [float(limits.smallest_subnormal), -float(limits.tiny)]
        return [0.0, 1.0, -np.inf, np.nan, small[0], float(limits.max), small[1], -0.0, -1.5]
    limits = np.iinfo(dtype)
    return [limits.min, limits.max, 0, 1, limits.max // 2, limits.min + 1]
