"""Training on the stand-in for CuPy gives the CPU's results, and no step waits."""

from typing import Any

import numpy as np
import pytest

from tinygrad_ckn import Tensor, lazy_images, nn, ops, optim
from tinygrad_ckn.backend import asarray, backend_of, to_numpy
from tinygrad_ckn.data import Dataset, Split, crop_flip, load_digits
from tinygrad_ckn.errors import BackendError, GradientError
from tinygrad_ckn.lazy_images import LazyImages
from tinygrad_ckn.models import CKN, CNN, CKNLayer, ConvLayer, FineTuning, LinearFit, Progress
from tinygrad_ckn.models.batched import on_device
from tinygrad_ckn.models.learning import step_log as measured
from tinygrad_ckn.models.learning.finetuning import fine_tune
from tinygrad_ckn.models.learning.objective import LabelledImages
from tinygrad_ckn.models.learning.state import Course
from tinygrad_ckn.stored_rows import StoredRows
from tinygrad_ckn.training import Run, load_model, save_model, train
from tools.gpu_emulator.standin import COUNTERS

DIGITS = load_digits()
IMAGES, LABELS = DIGITS.train.images[:200], DIGITS.train.labels[:200]
# relative to the largest value
TOLERANCES = {"float64": 1e-12, "float32": 1e-5}
pytestmark = pytest.mark.usefixtures("plain")


def network(dtype: str = "float64") -> CKN:
    layers = [
        CKNLayer(1, 8, 3, subsampling=2, dtype=dtype, rng=1),
        CKNLayer(8, 12, 2, dtype=dtype, rng=2),
    ]
    return CKN(1, 8, 10, layers, rng=3)


def data_on(device: str, dtype: str = "float64") -> tuple[Any, Any]:
    return asarray(IMAGES, dtype=dtype, device=device), asarray(LABELS, device=device)


def assert_near(mine: Any, reference: Any, tolerance: float) -> None:
    mine, reference = to_numpy(mine), to_numpy(reference)
    assert mine.dtype == reference.dtype
    assert np.abs(mine - reference).max() <= tolerance * np.abs(reference).max()


def test_a_supervised_training_is_that_of_the_cpu():
    learned, told = {}, {}
    for device in ("cpu", "cuda"):
        model, events = network().to(device), []
        descent = FineTuning(epochs=2, batch_size=50, lr=0.01)
        model.fit(
            *data_on(device),
            descent=descent,
            l2=1e-3,
            n_patches=500,
            iterations=3,
            rng=0,
            report=events.append,
        )
        assert all(p.device == device for p in model.parameters())
        learned[device] = model.state_dict()
        told[device] = [e.values for e in events if e.phase == "epoch"]
    for name, array in learned["cpu"].items():
        assert_near(learned["cuda"][name], array, 1e-12)
    assert len(told["cpu"]) == 2
    for mine, reference in zip(told["cuda"], told["cpu"], strict=True):
        # L-BFGS, before rounding accumulates over 30 iterations
        assert mine == pytest.approx(reference, rel=1e-11)


@pytest.mark.parametrize(("optimizer", "lr"), [("sgd", 0.05), ("adam", 1e-3)])
def test_two_epochs_in_float32_are_those_of_the_cpu(optimizer, lr):
    """Start from given weights, because L-BFGS amplifies float32 rounding more than SGD does."""
    learned = {}
    for device in ("cpu", "cuda"):
        model = network("float32").to(device)
        images, labels = data_on(device, "float32")
        fine_tune(
            model,
            LabelledImages(images, labels),
            LabelledImages(images[:0], labels[:0]),
            FineTuning(epochs=2, batch_size=50, optimizer=optimizer, lr=lr, validation=0),
            loss="cross_entropy",
            solve=lambda: LinearFit(None, None, l2=0.0, scale=1.0),
            course=Course.of(model, np.random.default_rng(0)),
        )
        learned[device] = model.state_dict()
    moved = network("float32").state_dict()
    for name, array in learned["cpu"].items():
        assert np.abs(array - moved[name]).max() > 1e-3
        assert_near(learned["cuda"][name], array, 1e-5)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("loss", [ops.cross_entropy, ops.squared_hinge])
def test_gradients_of_a_step_are_those_of_the_cpu(dtype, loss):
    found = {}
    for device in ("cpu", "cuda"):
        model = network(dtype).to(device)
        images, labels = data_on(device, dtype)
        value = loss(model(Tensor(images[:40])), labels[:40])
        value.backward()
        found[device] = [value.data, *(p.grad.data for p in model.parameters())]
    for mine, reference in zip(found["cuda"], found["cpu"], strict=True):
        assert_near(mine, reference, TOLERANCES[dtype])


class Steps:
    """Counts events between the reports of consecutive steps."""

    def __init__(self) -> None:
        self.waits: list[list[str]] = []
        self.copies: list[list[str]] = []

    def __call__(self, progress: Progress) -> None:
        if progress.phase == "batch":
            self.waits.append(COUNTERS.synchronisations[:])
            self.copies.append(COUNTERS.to_device[:])
        COUNTERS.clear()


@pytest.mark.parametrize(
    ("optimizer", "weighted"), [("sgd", None), ("adam", None), ("sgd", "balanced")]
)
def test_a_step_waits_for_the_device_at_most_once(optimizer, weighted, monkeypatch):
    monkeypatch.setattr(measured, "READ_EVERY", 3)
    steps = Steps()
    network().to("cuda").fit(
        *data_on("cuda"),
        descent=FineTuning(
            epochs=2,
            batch_size=25,
            optimizer=optimizer,
            lr=1e-3,
            clip_norm=1.0 if weighted else None,
            ema=0.9 if weighted else None,
            validation=0,
        ),
        class_weight=weighted,
        l2=1e-3,
        n_patches=500,
        iterations=2,
        report=steps,
    )
    assert len(steps.waits) == 16
    for i, waits in enumerate(steps.waits):
        # every third step of an epoch, and the last
        read = i % 8 in (2, 5, 7)
        assert len(waits) <= (1 if read else 0), waits
    for i, copies in enumerate(steps.copies):
        # only the order of an epoch: images are already on the device
        assert len(copies) <= (1 if i % 8 == 0 else 0), copies


def test_a_users_own_loop_does_not_wait_either():
    model = network().to("cuda")
    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    images, labels = data_on("cuda")
    batch = Tensor(images[:20])
    COUNTERS.clear()
    for _ in range(3):
        loss = ops.cross_entropy(model(batch), labels[:20])
        model.zero_grad()
        loss.backward()
        optimizer.step()
    assert COUNTERS.synchronisations == []
    assert COUNTERS.to_device == []


def test_a_diverging_loss_is_reported_with_its_batch():
    model = network().to("cuda")
    told: list[str] = []
    with pytest.raises(
        GradientError, match=r"NaN or infinity in epoch 1, batch \d.*first in .*batch \d.*lower lr"
    ):
        model.fit(
            *data_on("cuda"),
            descent=FineTuning(
                epochs=1, batch_size=40, lr=1e200, warmup=0, validation=0, momentum=0
            ),
            l2=1e-3,
            n_patches=500,
            iterations=2,
            report=lambda progress: told.append(progress.phase),
        )
    # those of the previous epoch
    assert all(np.isfinite(p.numpy()).all() for p in model.parameters())
    assert "batch" in told


def test_a_parameter_that_breaks_in_the_last_step_is_found():
    class Breaking(optim.SGD):
        def step(self) -> None:
            super().step()
            self.params[0].data = self.params[0].data * np.nan

    descent = FineTuning(epochs=1, batch_size=200, lr=1e-3, validation=0)
    object.__setattr__(
        descent, "make_optimizer", lambda parameters, steps: (Breaking(parameters, lr=0.1), Still())
    )
    images, labels = data_on("cuda")
    model = network().to("cuda")
    with pytest.raises(GradientError, match="first in a parameter, by batch 1"):
        fine_tune(
            model,
            LabelledImages(images, labels),
            LabelledImages(images[:0], labels[:0]),
            descent,
            loss="cross_entropy",
            solve=lambda: LinearFit(None, None, l2=0.0, scale=1.0),
            course=Course.of(model, np.random.default_rng(0)),
        )


class Still:
    """A schedule that changes nothing."""

    def step(self) -> None:
        pass


def test_augmented_images_of_a_cnn():
    learned = {}
    for device in ("cpu", "cuda"):
        model = CNN(
            1, 8, 10, [ConvLayer(1, 4, 3, subsampling=2, rng=1, dtype="float64")], rng=3
        ).to(device)
        descent = FineTuning(epochs=1, batch_size=50, lr=0.01, augment=crop_flip)
        model.fit(*data_on(device), descent=descent, l2=1e-3, rng=0)
        learned[device] = model.state_dict()
    for name, array in learned["cpu"].items():
        assert_near(learned["cuda"][name], array, 1e-11)


def few_digits() -> Dataset:
    test = Split(DIGITS.test.images[:60], DIGITS.test.labels[:60])
    return Dataset("digits", Split(IMAGES, LABELS), test, 10, DIGITS.class_names)


def test_a_run_on_the_gpu_is_read_on_either_device(tmp_path):
    options = {"mode": "supervised", "epochs": 1, "n_patches": 500, "iterations": 2}
    result = train(few_digits(), **options, device="cuda", out=tmp_path / "run")
    assert result.model.device == "cuda"
    assert result.run.config["options"]["device"] == "cuda"
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "README.txt",
        "config.json",
        "filters.png",
        "metrics.jsonl",
        "model.safetensors",
        "report.html",
        "test.json",
    ]
    on_cpu = load_model(tmp_path / "run")
    assert on_cpu.device == "cpu"
    assert Run.open(tmp_path / "run").records()[-1]["correct"] == result.correct
    scores = result.model.scores(asarray(IMAGES, device="cuda"))
    assert_near(on_cpu.scores(IMAGES), scores, 1e-4)
    again = on_cpu.to("cuda")
    assert_near(again.scores(asarray(IMAGES, device="cuda")), scores, 0)
    save_model(again, tmp_path / "copy.safetensors")
    assert (tmp_path / "copy.safetensors").read_bytes() == (
        tmp_path / "run" / "model.safetensors"
    ).read_bytes()


@pytest.mark.parametrize(
    "make",
    [lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True), lambda p: optim.Adam(p, lr=0.01)],
)
def test_an_optimiser_continues_on_the_other_device(make):
    def steps(model: CKN, optimizer: optim.Optimizer, device: str) -> None:
        images, labels = data_on(device)
        for _ in range(2):
            model.zero_grad()
            ops.cross_entropy(model(Tensor(images[:20])), labels[:20]).backward()
            optimizer.step()

    models = {device: network().to(device) for device in ("cpu", "cuda")}
    kept = {device: make(list(model.parameters())) for device, model in models.items()}
    steps(models["cpu"], kept["cpu"], "cpu")
    models["cuda"].load_state_dict(models["cpu"].state_dict())
    kept["cuda"].load_state_dict(kept["cpu"].state_dict())
    for device, model in models.items():
        steps(model, kept[device], device)
    for mine, reference in zip(
        models["cuda"].parameters(), models["cpu"].parameters(), strict=True
    ):
        assert mine.device == "cuda"
        assert_near(mine.data, reference.data, 1e-12)
    kept["cuda"].load_state_dict(kept["cuda"].state_dict())


def test_an_optimiser_made_before_the_move_says_so():
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model.to("cuda")
    images, labels = data_on("cuda")
    ops.cross_entropy(model(Tensor(images[:5])), labels[:5]).backward()
    with pytest.raises(
        BackendError,
        match=r"^SGD: .* moved to 'cuda'; make the optimiser after module.to\('cuda'\)",
    ):
        optimizer.step()


def test_gradients_and_buffers_move_with_a_module():
    model = nn.Sequential(nn.Conv2d(1, 2, 3, rng=0), nn.Flatten(), nn.Linear(72, 2, rng=1))
    model(Tensor(IMAGES[:3])).sum().backward()
    gradients = [p.grad.numpy().copy() for p in model.parameters()]
    model.to("cuda")
    assert all(p.device == p.grad.device == "cuda" for p in model.parameters())
    model.to("cpu")
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        np.testing.assert_array_equal(parameter.grad.numpy(), gradient)


def test_lbfgs_minimises_on_the_device():
    def minimised(device: str) -> list[Any]:
        linear = nn.Linear(64, 10, rng=0, dtype="float64").to(device)
        x, y = (
            asarray(a, device=device)
            for a in (IMAGES[:50].reshape(50, 64).astype("float64"), LABELS[:50])
        )
        loss = optim.LBFGS(linear.parameters(), max_iterations=3).step(
            lambda: ops.cross_entropy(linear(x), y)
        )
        return [np.float64(loss), *(p.data for p in linear.parameters())]

    for mine, reference in zip(minimised("cuda"), minimised("cpu"), strict=True):
        assert_near(mine, reference, 1e-11)


def test_lazy_images_are_copied_to_the_device_and_encoded_in_blocks(monkeypatch):
    monkeypatch.setattr(lazy_images, "_BLOCK_BYTES", 2**14)
    rows = StoredRows.temporary(IMAGES.shape, "float32", "a test")
    rows[:] = IMAGES
    lazy = LazyImages(rows, memory=1)
    copy = on_device(lazy, "cuda")
    assert backend_of(copy).device == "cuda"
    np.testing.assert_array_equal(to_numpy(copy), IMAGES)
    model = network("float32").to("cuda")
    np.testing.assert_array_equal(model.encode(lazy), model.encode(IMAGES))


def test_weights_and_options_of_a_descent_are_those_of_the_cpu():
    weights = np.linspace(0, 2, 200)
    learned, temperatures = {}, {}
    for device in ("cpu", "cuda"):
        model = network().to(device)
        model.fit(
            *data_on(device),
            descent=FineTuning(
                epochs=1,
                batch_size=50,
                lr=0.01,
                label_smoothing=0.1,
                mixup=0.3,
                clip_norm=0.1,
                ema=0.9,
            ),
            l2=1e-3,
            class_weight={3: 2.0},
            sample_weight=asarray(weights, device=device),
            n_patches=500,
            iterations=3,
            rng=0,
        )
        learned[device] = model.state_dict()
        temperatures[device] = model.temperature
        p = model.predict_proba(data_on(device)[0])
        np.testing.assert_allclose(to_numpy(p.sum(axis=1)), 1, rtol=1e-12)
    for name, array in learned["cpu"].items():
        assert_near(learned["cuda"][name], array, 1e-6)
    assert temperatures["cuda"] == pytest.approx(temperatures["cpu"], rel=1e-4)
