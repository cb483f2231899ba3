"""What the tests of the GPU path share."""

import pytest

from tests.gpu import nvrtc, ptx


@pytest.fixture(scope="session")
def compiler():
    """The module `tests.gpu.nvrtc`, where NVRTC is installed."""
    if reason := nvrtc.missing():
        pytest.skip(reason)
    return nvrtc


@pytest.fixture(scope="session")
def run(compiler):
    """Compile a kernel and execute it in the interpreter: run(source, expression, grid, block, *args, shared=0)."""

    def run(source, expression, grid, block, *args, **options):
        program = compiler.compile(source, [expression], options=["-std=c++17"])
        return ptx.launch(program.ptx, program.names[expression], grid, block, args, **options)

    return run
