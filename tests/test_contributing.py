"""The walks of CONTRIBUTING.md, applied to a copy of the package, work as they say."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
WALK = re.compile(
    r"<!-- walk: (?P<walk>\w+), (?P<action>append to|insert in|replace in) (?P<file>[\w/.]+)"
    r"(?:, above)?(?:: (?P<place>.*?))? -->\n```python\n(?P<code>.*?)```",
    re.DOTALL,
)
STEPS = [match.groupdict() for match in WALK.finditer((ROOT / "CONTRIBUTING.md").read_text())]


def edited(text, action, place, code):
    """Return a file's text after one step of a walk."""
    if action == "append to":
        return f"{text}\n\n{code}"
    assert text.count(place) == 1, f"expected one place {place!r}, got {text.count(place)}"
    return text.replace(place, f"{code}{place}" if action == "insert in" else code.strip())


@pytest.fixture
def copy_after(tmp_path):
    """Return a maker of copies of the package with the steps of a walk applied."""

    def make(walk):
        shutil.copytree(
            ROOT / "tinygrad_ckn",
            tmp_path / "tinygrad_ckn",
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        for step in STEPS:
            if step["walk"] == walk:
                file = tmp_path / step["file"]
                file.write_text(
                    edited(file.read_text(), step["action"], step["place"], step["code"])
                )
        return tmp_path

    return make


def run(folder, *arguments):
    """Run Python on the copy of the package in a folder, and return its output."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "80"}
    finished = subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_there_are_three_walks():
    walks = ("operation", "option", "kernel")
    assert [step["walk"] for step in STEPS] == ["operation"] * 3 + ["option"] * 2 + ["kernel"]
    files = {walk: {s["file"] for s in STEPS if s["walk"] == walk} for walk in walks}
    # one file each; an operation has a public name and a case besides
    assert [len(files[walk]) for walk in walks] == [3, 1, 1]


OPERATION = """
import numpy as np
from tinygrad_ckn import Tensor, ops, testing
from tinygrad_ckn.testing import contract, runner
from tinygrad_ckn.testing.op_cases import CHECKED

(result,) = runner.run_cases(["cbrt"], examples=5)
assert result.verdict == "ok" and "cbrt" in CHECKED, result
assert "cbrt" in ops.__all__
x = np.array([0.5, -2.0])
assert np.array_equal(ops.cbrt(x), np.cbrt(x))
assert testing.gradcheck(ops.cbrt, x, order=2)
contract.check_contract(ops.cbrt, [x])
"""


def test_an_operation(copy_after):
    folder = copy_after("operation")
    run(folder, "-c", OPERATION)


OPTION = """
from typer.testing import CliRunner
from tinygrad_ckn.cli import app

common = ["--mode", "supervised", "--epochs", "1", "--n-patches", "300", "--iterations", "1"]
print(CliRunner().invoke(app, ["train", "--help"]).stdout)
for name, option in (("with", "--nesterov"), ("without", "--no-nesterov")):
    result = CliRunner().invoke(app, ["train", *common, option, "--out", name])
    assert result.exit_code == 0, result.output
"""


def test_an_option_of_training(copy_after):
    folder = copy_after("option")
    assert re.search(r"--nesterov.*Use Nesterov's", run(folder, "-c", OPTION), re.DOTALL)
    runs = (folder / "with", folder / "without")
    options = [json.loads((run / "config.json").read_text())["options"] for run in runs]
    assert [o["descent"]["nesterov"] for o in options] == [True, False]
    one, other = ((run / "model.safetensors").read_bytes() for run in runs)
    assert one != other


KERNEL = """
import numpy as np
from tinygrad_ckn import testing
from tinygrad_ckn.data import load_digits
from tinygrad_ckn.models import CKN, CKNLayer
from tinygrad_ckn.models.kernels import Exponential
from tinygrad_ckn.models.kernels.stationary import RationalQuadratic
from tinygrad_ckn.training import load_model, save_model

images, labels = load_digits().train.images[:100], load_digits().train.labels[:100]
layers = [
    CKNLayer(1, 8, 3, kernel="rational_quadratic", subsampling=2, rng=0),
    CKNLayer(8, 8, 3, kernel=RationalQuadratic(1.0) * Exponential(0.6), subsampling=2, rng=1),
]
model = CKN(1, 8, 10, layers, rng=0)
before = [np.array(layer.weight.numpy()) for layer in layers]
model.fit(images, labels, n_patches=500, rng=0)
assert model.accuracy(images, labels) > 0.9
assert all((old != layer.weight.numpy()).any() for old, layer in zip(before, layers))
save_model(model, "model.safetensors")
other = load_model("model.safetensors")
assert other.layers[0].kernel == RationalQuadratic(0.5)
assert np.array_equal(other.scores(images), model.scores(images))
testing.gradcheck(lambda z: RationalQuadratic(0.7)(z, np.eye(3)), np.array([[0.2, 0.5, -1.0]]))
"""


def test_a_family_of_kernels(copy_after):
    folder = copy_after("kernel")
    run(folder, "-c", KERNEL)
