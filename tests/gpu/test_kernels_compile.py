"""Every kernel compiles for every architecture with CuPy's options: no warning, no spill."""

import re
from pathlib import Path

import pytest

from tinygrad_ckn.cuda import kernels
from tinygrad_ckn.cuda.launch import OPTIONS, SHARED_BYTES, SOURCES, THREADS

ARCHITECTURES = (75, 80, 86, 89, 90, 100, 120)
# Registers per thread, and bytes of static shared memory per block. With 64 registers a
# multiprocessor has room for four blocks of 256 threads, with 72 for three.
BUDGETS = {
    "ckn_map": (72, 2048),
    "correlate": (64, 0),
    "kmeans": (48, 528),
    "pool": (64, 0),
    "window": (56, 0),
}
_KERNEL = re.compile(
    r"Compiling entry function '(?P<name>\w+)'.*?"
    r"(?P<spills>\d+ bytes stack frame, \d+ bytes spill stores, \d+ bytes spill loads).*?"
    r"Used (?P<registers>\d+) registers(?P<more>[^\n]*)",
    re.DOTALL,
)


@pytest.fixture(scope="module", params=ARCHITECTURES)
def architecture(request):
    return request.param


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_no_warning_no_spill_and_within_budget(compiler, source, architecture):
    program = compiler.compile(source.text, source.expressions, arch=architecture, options=OPTIONS)
    assert "warning" not in program.log
    found = {match["name"]: match for match in _KERNEL.finditer(program.log)}
    assert found.keys() == set(program.names.values())
    registers, shared = BUDGETS[source.name]
    for name, match in found.items():
        assert (
            match["spills"] == "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads"
        ), name
        assert int(match["registers"]) <= registers, name
        static = re.search(r"(\d+) bytes smem", match["more"])
        assert int(static[1] if static else 0) <= shared, name
    assert len(program.cubin) > 0


def test_all_sources_are_there_and_have_a_budget():
    assert sorted(source.name for source in SOURCES) == sorted(BUDGETS)
    files = {path.stem for path in Path(kernels.__file__).parent.glob("*.cu")}
    assert files == set(BUDGETS)


def test_budgets_let_a_block_run_anywhere():
    for registers, shared in BUDGETS.values():
        assert registers * THREADS <= 65536
        assert shared <= SHARED_BYTES
