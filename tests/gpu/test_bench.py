"""`tinygrad-ckn bench --device cuda` on the stand-in for CuPy, without timing anything.

The sides run in this process.
"""

import io
import json
import re
import sys
from collections import Counter
from dataclasses import replace
from types import ModuleType, SimpleNamespace

import pytest
import scipy.signal
from rich.console import Console

from benchmarks import clock, measure, operations, run
from benchmarks import gpu_specs as cards
from benchmarks.ckn import ckn_case, ckn_inputs, our_features, our_training
from benchmarks.layers import encoding, training
from benchmarks.suite import OURS, BenchmarkError, Settings, Suite
from benchmarks.suites import SUITES, kernels
from benchmarks.worker import Worker
from tinygrad_ckn import ops
from tools.gpu_emulator.standin import COUNTERS, CUPY

CUDA = Settings(device="cuda", rounds=1)
SMALL = {
    "IMAGE": 20,
    "FILTER": 3,
    "BATCH": 2,
    "CHANNELS": 4,
    "SIZE": 6,
    "UNFOLDED": 2,
    "POINTS": 40,
    "CENTROIDS": 5,
}
SMALL |= {"FILTERS": 6, "LAYERS": 2}


class InThisProcess(Worker):
    """Replaces `benchmarks.process.Process`, whose process would not have the stand-in."""

    def __init__(self, side, threads):
        super().__init__()
        self.side = side

    def start(self, inputs, device):
        super().start(self.side, inputs, device)

    def stop(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass


@pytest.fixture(autouse=True)
def _here(monkeypatch):
    monkeypatch.setattr(measure, "Process", InThisProcess)
    monkeypatch.setattr(measure, "PAUSE", 0)
    monkeypatch.setattr(clock, "REPETITIONS", 2)
    # has its own tests
    monkeypatch.setattr("benchmarks.chart.draw", lambda *arguments: None)
    monkeypatch.setattr("benchmarks.worker.REWARM", 0)
    for name, size in SMALL.items():
        monkeypatch.setattr(operations, name, size)


@pytest.fixture
def signal(monkeypatch):
    """`cupyx.scipy.signal`, by SciPy."""
    module = ModuleType("cupyx.scipy.signal")

    def correlate2d(x, w, mode):
        return CUPY.asarray(scipy.signal.correlate2d(CUPY.asnumpy(x), CUPY.asnumpy(w), mode))

    module.correlate2d = correlate2d
    monkeypatch.setitem(sys.modules, module.__name__, module)


def small(case):
    return replace(case, rounds=1, steps=1, warm_up=0)


def shown(cases, out, suite="kernels"):
    """Return the printed text of cases, the failures, and results.json."""
    console = Console(record=True, width=150, file=io.StringIO())
    suites = [Suite(suite, "", lambda _: cases, devices=("cuda",))]
    failures = run.run(suites, CUDA, out, console)
    return console.export_text(), failures, json.loads((out / "results.json").read_text())


@pytest.mark.usefixtures("standin", "signal")
def test_operations_are_compared_and_shown_with_the_roofline(tmp_path):
    cases = [small(case) for case in kernels.SUITE.cases(CUDA)]
    text, failures, content = shown(cases, tmp_path)
    assert not failures
    assert "roofline      3,352 GB/s, 66.9 TFLOP/s in float32 (from the driver's clocks)" in text
    assert text.count("│ cupyx.scipy.signal ") == 1
    assert text.count("left out: torch") == 7
    assert len(content["suites"]["kernels"]) == len(cases) == 13
    for case, found in zip(cases, content["suites"]["kernels"], strict=True):
        assert f"{case.name}: 1 times each" in text
        ours = found["sides"][0]
        assert ours["errors"]["result"] < 1e-5
        assert sum(cost["flops"] + cost["read"] for cost in found["costs"]) > 0
    rows = [line for line in text.splitlines() if line.startswith(f"│ {OURS} ")]
    assert len(rows) == len(cases)
    for row in rows:
        cells = [cell.strip() for cell in row.strip("│").split("│")]
        assert len(cells) == 10
        assert all(cell.endswith("%)") for cell in cells[4:6])
        assert cells[7].endswith("%")
        assert cells[8].endswith("%")


@pytest.mark.usefixtures("standin")
def test_networks_are_compared_with_the_cpu(tmp_path):
    inputs = ckn_inputs("ckn5", n_images=2, size=6, filters=3)
    cases = [
        small(
            ckn_case(
                "step",
                lambda: inputs,
                training=True,
                targets={},
                device="cuda",
                costs=training("ckn5", 2),
            )
        ),
        small(
            ckn_case(
                "features",
                lambda: inputs,
                training=False,
                targets={},
                device="cuda",
                costs=encoding("ckn5", 2),
            )
        ),
    ]
    text, failures, content = shown(cases, tmp_path, "ckn5")
    assert not failures
    step, features = content["suites"]["ckn5"]
    assert set(step["sides"][0]["errors"]) == {"losses", "gradients", "weights"}
    assert all(
        0 < error < 3e-4
        for side in (step, features)
        for error in side["sides"][0]["errors"].values()
    )
    assert len(step["costs"]) == len(training("ckn5", 2))
    assert "torch" in " ".join(step["left_out"])
    assert "step: 1 times each" in text


@pytest.mark.usefixtures("standin")
@pytest.mark.parametrize(("make", "costs_of"), [(our_training, training), (our_features, encoding)])
def test_counted_costs_are_those_of_the_launches(make, costs_of):
    step = make(ckn_inputs("ckn5", n_images=2, size=6, filters=3), "cuda").step
    # the factors of filters are cached in evaluation
    step()
    COUNTERS.clear()
    step()
    launched = Counter(re.match(r"\w+", name)[0] for name in COUNTERS.launches)
    by_library = {"matmul", "matmul_each", "add_up", "copy", "inverse_root"}
    banded = {"pooling": "banded", "pooling_adjoint": "banded"}
    names = [cost.name for cost in costs_of("ckn5", 2) if cost.name not in by_library]
    assert launched == Counter(banded.get(name, name) for name in names)


@pytest.mark.usefixtures("plain")
def test_a_side_with_other_results_is_not_timed(monkeypatch):
    case = next(
        small(case) for case in kernels.SUITE.cases(CUDA) if case.name == "Gaussian pooling by 2"
    )
    real = ops.gaussian_pool2d
    monkeypatch.setattr(
        ops,
        "gaussian_pool2d",
        lambda x, s: real(x, s) * (1.001 if isinstance(x, CUPY.ndarray) else 1),
    )
    with pytest.raises(BenchmarkError, match="sides with different results are not timed"):
        measure.measure(case, CUDA)


@pytest.mark.usefixtures("plain")
def test_cupyx_is_left_out_if_it_does_not_import(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupyx.scipy.signal", None)
    result = measure.measure(small(kernels.SUITE.cases(CUDA)[0]), CUDA)
    assert result.left_out["cupyx.scipy.signal"].startswith("it does not import: ")
    assert [side.name for side in result.sides] == [OURS]


@pytest.mark.usefixtures("plain")
def test_steps_between_events_do_not_wait(monkeypatch):
    steps = []
    COUNTERS.clear()
    seconds, asking = clock.by_events(lambda: steps.append(CUPY.ones(3)))
    assert len(steps) == clock.REPETITIONS == 2
    # at the end, for the second event
    assert len(COUNTERS.synchronisations) == 1
    assert seconds >= 0
    assert asking >= 0


def test_the_suites_that_a_gpu_runs():
    assert [name for name, suite in SUITES.items() if "cuda" in suite.devices] == [
        "ckn5",
        "ckn14",
        "features",
        "kernels",
    ]
    for name in ("ckn5", "ckn14", "features"):
        for case in SUITES[name].cases(CUDA):
            assert case.costs
            assert not case.targets
            assert case.reference.device == "cpu"
            assert [side.tuned_malloc for side in case.sides] == [False, False]


def test_a_known_card_is_taken_from_its_datasheet():
    def cupy(name):
        runtime = SimpleNamespace(
            getDeviceProperties=lambda device: {"name": name, "major": 8, "minor": 0}
        )
        device = SimpleNamespace(id=0, attributes=CUPY.cuda.Device.attributes)
        return SimpleNamespace(cuda=SimpleNamespace(runtime=runtime, Device=lambda: device))

    assert cards.present(cupy(b"NVIDIA GeForce RTX 4090")) is cards.CARDS["NVIDIA GeForce RTX 4090"]
    unknown = cards.present(cupy(b"Another"))
    assert unknown.source == "from the driver's clocks"
    assert unknown.float32 == 2 * 1.98e9 * 132 * 64
