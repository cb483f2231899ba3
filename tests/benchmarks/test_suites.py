from importlib.util import find_spec

import numpy as np
import pytest

from benchmarks.measure import relative_error
from benchmarks.peers import mlp as peers
from benchmarks.process import Process
from benchmarks.suite import OURS, Case, LeftOutError, Settings, Side
from benchmarks.suites import SUITES, correlate2d, kmeans, mlp, scaling


def cases() -> list[tuple[str, Case]]:
    return [(name, case) for name, suite in SUITES.items() for case in suite.cases(Settings())]


@pytest.mark.parametrize(("name", "case"), cases(), ids=lambda value: getattr(value, "name", value))
def test_targets_are_those_of_peers(name: str, case: Case):
    names = [side.name for side in case.sides]
    assert len(set(names)) == len(names)
    assert set(case.targets) | set(case.memory_targets) <= set(names[1:])
    assert set(case.mean_targets) <= set(case.targets)
    assert names[0] == OURS or case.group or case.unit
    assert not any(side.tuned_malloc for side in case.sides if side.name == OURS)


def test_every_suite_has_a_line():
    assert [name for name, suite in SUITES.items() if name != suite.name or not suite.title] == []


@pytest.mark.parametrize(
    ("peer", "package"),
    [
        (peers.ours, "numpy"),
        (peers.by_hand, "numpy"),
        (peers.mygrad, "mygrad"),
        (peers.autograd, "autograd"),
        (peers.torch_eager, "torch"),
        (peers.jax_jit, "jax"),
    ],
)
def test_steps_of_the_mlp_are_the_same(peer, package):
    if find_spec(package) is None:
        pytest.skip(
            f"peers of the benchmarks need the extra [bench], and {package} is not installed"
        )
    inputs = mlp._inputs()
    expected = mlp._work(inputs, "cpu", side=peers.by_hand_in_float64).outputs()
    # In a separate process: once JAX is imported, forking, which other tests do, gives a
    # warning and hence an error.
    with Process(Side(peer.__name__, mlp._work, {"side": peer}), 1) as process:
        process.start(inputs, "cpu")
        found = process.outputs()
    assert relative_error(found["losses"], expected["losses"]) < 1e-5
    assert relative_error(found["weights"], expected["weights"]) < 1e-4
    assert found["losses"][-1] < found["losses"][0]


def test_every_side_of_the_mlp_has_its_own_weights():
    inputs = mlp._inputs()
    before = [w.copy() for w in inputs["weights"]]
    mlp._work(inputs, "cpu", side=peers.by_hand).outputs()
    for mine, its in zip(before, inputs["weights"], strict=True):
        np.testing.assert_array_equal(mine, its)


def test_the_mlp_by_hand_descends_its_loss():
    inputs = mlp._inputs()
    weights = [w.astype("float64") for w in inputs["weights"]]
    loss = peers.by_hand(
        inputs["x"].astype("float64"), inputs["labels"], [w.copy() for w in weights]
    )[0]()
    direction = [np.random.default_rng(1).standard_normal(w.shape) for w in weights]

    def at(s: float) -> float:
        moved = [w + s * d for w, d in zip(weights, direction, strict=True)]
        return peers.by_hand(inputs["x"].astype("float64"), inputs["labels"], moved)[0]()

    moved = [w.copy() for w in weights]
    peers.by_hand(inputs["x"].astype("float64"), inputs["labels"], moved)[0]()
    slope = (
        sum(((a - b) * d).sum() for a, b, d in zip(weights, moved, direction, strict=True))
        / peers.LR
    )
    assert slope == pytest.approx((at(1e-6) - at(-1e-6)) / 2e-6, rel=1e-5)
    assert loss == at(0)


def test_kmeans_of_pytorch_agrees_with_ours(monkeypatch):
    pytest.importorskip("torch", reason="the peer is PyTorch: pip install -e '.[bench]'")
    monkeypatch.setattr(kmeans, "POINTS", 2000)
    for layer, d in ((0, 27), (1, 576)):
        inputs = kmeans._inputs(layer, 8)
        assert inputs["points"].shape == (2000, d)
        ours, theirs = (make(inputs, "cpu").outputs() for make in (kmeans._ours, kmeans._torch))
        # Neither stops early.
        assert len(ours["objective"]) == kmeans.ITERATIONS
        assert relative_error(theirs["centroids"], ours["centroids"]) < 1e-5
        assert relative_error(theirs["objective"], ours["objective"]) < 1e-6


@pytest.mark.parametrize("operation", ["forward", "input adjoint", "weight adjoint"])
def test_the_algorithms_of_a_shape_take_turns(operation: str):
    found = correlate2d._by_shape(operation)
    assert len(found) == len(correlate2d.SHAPES)
    for case in found:
        assert [side.name for side in case.sides[:2]] == ["auto", "unfold"]
        assert case.group.endswith(operation)


def test_each_operation_computes_what_its_title_says():
    inputs = correlate2d._arrays((2, 3, 6, 5), (4, 3, 3, 3), {})
    maps = {
        operation: correlate2d._algorithm(
            inputs, "cpu", operation=operation, name="unfold"
        ).outputs()["map"]
        for operation in ("forward", "input adjoint", "weight adjoint")
    }
    assert {operation: y.shape for operation, y in maps.items()} == {
        "forward": (2, 4, 6, 5),
        "input adjoint": (2, 3, 6, 5),
        "weight adjoint": (4, 3, 3, 3),
    }
    inner = float((maps["forward"] * inputs["g"]).sum())
    assert float((maps["input adjoint"] * inputs["x"]).sum()) == pytest.approx(inner, rel=1e-4)
    assert float((maps["weight adjoint"] * inputs["w"]).sum()) == pytest.approx(inner, rel=1e-4)


def test_the_large_image_is_the_same_for_all():
    inputs = {name: array[:40, :50] for name, array in correlate2d._image("float64").items()}
    ours, scipy = (
        make(inputs, "cpu").outputs()["map"] for make in (correlate2d._ours, correlate2d._scipy)
    )
    assert relative_error(ours, scipy) < 1e-12
    pytest.importorskip("torch", reason="the peer is PyTorch: pip install -e '.[bench]'")
    assert relative_error(correlate2d._torch(inputs, "cpu").outputs()["map"], scipy) < 1e-12


def test_pytorch_is_left_out_if_its_unfolded_image_does_not_fit(monkeypatch):
    pytest.importorskip("torch", reason="the peer is PyTorch: pip install -e '.[bench]'")
    monkeypatch.setattr(correlate2d, "memory", lambda name, source: 10**6)
    inputs = {"x": np.ones((100, 200)), "w": np.ones((10, 10))}
    with pytest.raises(LeftOutError, match="unfolds the image to 0 GB, and 0 GB are there"):
        correlate2d._torch(inputs, "cpu")
    correlate2d._torch({name: array.astype("float32") for name, array in inputs.items()}, "cpu")


def test_sizes_are_four_and_have_units():
    for case in scaling._cases(Settings()):
        assert len(case.sides) == 4
        assert all(side.units > 0 for side in case.sides)
    images, pixels, _ = scaling._cases(Settings())
    assert [side.units for side in images.sides] == [32, 64, 128, 256]
    assert [side.units for side in pixels.sides] == [64 * n * n / 1000 for n in (16, 32, 48, 64)]
