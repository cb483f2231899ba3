"""device="cuda" with a missing requirement gives one fitting sentence.

Each test runs a separate process.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TENSOR = "import tinygrad_ckn as t; t.Tensor([1.0], device='cuda')"
BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in ('cupy', 'cupyx'):
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)
sys.meta_path.insert(0, Blocked())
"""


def run(code: str, cwd: Path = Path("/")) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment,
        check=False,
    )


def sentence(code: str, cwd: Path = Path("/")) -> str:
    """Return the last line of a failing program."""
    done = run(code, cwd)
    assert done.returncode == 1
    return done.stderr.splitlines()[-1].removeprefix("tinygrad_ckn.errors.BackendError: ")


@pytest.fixture
def cupy_here():
    pytest.importorskip(
        "cupy", reason="what CuPy does without a driver needs CuPy: pip install cupy-cuda13x"
    )


def test_without_cupy():
    assert sentence(BLOCKED + TENSOR) == (
        "device 'cuda' needs CuPy, which does not import; "
        "pip install -e '.[cuda13]' in a checkout of "
        "tinygrad-ckn ([cuda12] for older drivers) (No module named 'cupy')"
    )


@pytest.mark.usefixtures("cupy_here")
@pytest.mark.parametrize("where", [Path("/"), ROOT], ids=["elsewhere", "in the checkout"])
def test_with_cupy_but_no_gpu(where):
    expected = "device 'cuda' needs a GPU with its driver, and CuPy finds none; use device='cpu'"
    assert sentence(TENSOR, where) == expected
    assert sentence(f"import sys; sys.path.insert(0, {str(ROOT)!r}); {TENSOR}", where) == expected


@pytest.mark.usefixtures("cupy_here")
def test_cupy_imports_from_the_checkout():
    done = run("import cupy, cuda.pathfinder; print(cupy.__file__)", ROOT)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).parent.name == "cupy"


@pytest.mark.usefixtures("cupy_here")
def test_modules_of_kernels_are_made_without_a_device():
    code = """
import cupy
import tinygrad_ckn
from tinygrad_ckn.cuda.launch import SOURCES
for source in SOURCES:
    assert isinstance(source.module(cupy), cupy.RawModule), source
print(len(SOURCES))
"""
    done = run(code)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 3


@pytest.mark.usefixtures("cupy_here")
@pytest.mark.parametrize(
    "command",
    [
        "train --device cuda",
        "gradcheck --device cuda",
        "compare unsup-32-64 lenet --device cuda",
        "bench --device cuda",
    ],
)
def test_commands_end_with_the_sentence(command):
    done = run(
        f"import sys; from tinygrad_ckn.cli import main; "
        f"sys.argv = 'tinygrad-ckn {command}'.split(); main()"
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        "error: device 'cuda' needs a GPU with its driver"
    )


@pytest.mark.usefixtures("cupy_here")
def test_info_names_what_is_missing():
    done = run(
        "import sys; from tinygrad_ckn.cli import main; sys.argv = ['tinygrad-ckn', 'info']; main()"
    )
    told = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert told["cupy"][0].isdigit()
    assert told["driver"].startswith("none; install NVIDIA's")
    assert told["cuda"].startswith("device 'cuda' needs a GPU with its driver")
