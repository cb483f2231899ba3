from collections.abc import Callable

import numpy as np
import pytest

from tinygrad_ckn import Tensor
from tinygrad_ckn.errors import ConfigError, DataError, DTypeError, LinearAlgebraError
from tinygrad_ckn.nn import Linear, Parameter, Sphere, init
from tinygrad_ckn.optim import SGD, Adam, AdamW, Optimizer

Make = Callable[..., Optimizer]

MAKES: dict[str, Make] = {
    "sgd": lambda params, lr=0.05: SGD(params, lr=lr),
    "momentum": lambda params, lr=0.02: SGD(params, lr=lr, momentum=0.9, weight_decay=0.1),
    "nesterov": lambda params, lr=0.02: SGD(params, lr=lr, momentum=0.9, nesterov=True),
    "adam": lambda params, lr=0.02: Adam(params, lr=lr, weight_decay=0.1),
    "adamw": lambda params, lr=0.02: AdamW(params, lr=lr, weight_decay=0.1),
}


@pytest.fixture(params=MAKES)
def make(request: pytest.FixtureRequest) -> Make:
    return MAKES[request.param]


def leaf(*shape: int, seed: int = 0, dtype: str = "float64") -> Tensor:
    return Tensor(np.random.default_rng(seed).normal(size=shape), requires_grad=True, dtype=dtype)


def descend(optimizer: Optimizer, loss: Callable[[], Tensor], steps: int) -> list[float]:
    """Take steps against the sum of what `loss` returns."""
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        value = loss().sum()
        value.backward()
        optimizer.step()
        losses.append(float(value.item()))
    return losses


@pytest.mark.parametrize("shape", [(), (3,), (4, 2), (2, 2, 3, 3)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_loss_decreases_and_dtypes_stay(make: Make, shape: tuple[int, ...], dtype: str) -> None:
    x = leaf(*shape, dtype=dtype)
    losses = descend(make([x]), lambda: (x - 3) ** 2, 100)
    assert losses[-1] < 0.5 * losses[0]
    assert x.dtype == dtype
    assert x.shape == shape
    assert type(x.data) is np.ndarray


def test_no_array_is_written_into(make: Make) -> None:
    x = leaf(3)
    held = x.data
    optimizer = make([x])
    (x * x).sum().backward()
    gradient = x.grad
    assert gradient is not None
    before, slopes = held.copy(), gradient.numpy().copy()
    optimizer.step()
    np.testing.assert_array_equal(held, before)
    assert x.grad is gradient
    np.testing.assert_array_equal(gradient.numpy(), slopes)
    assert (x.numpy() != before).all()


def test_a_step_invalidates_earlier_graphs(make: Make) -> None:
    x = leaf(3)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    make([x]).step()
    with pytest.raises(RuntimeError, match="data assigned since"):
        y.backward()


def test_parameters_without_gradient_are_skipped_and_their_steps_not_counted(make: Make) -> None:
    x, y = leaf(3), leaf(3, seed=1)
    still = y.numpy().copy()
    optimizer = make([x, y])
    descend(optimizer, lambda: x * x, 3)
    np.testing.assert_array_equal(y.numpy(), still)
    assert [state["steps"] for state in optimizer.state] == [3, 0]
    fresh = leaf(3, seed=1)
    descend(optimizer, lambda: y * y, 1)
    descend(make([fresh]), lambda: fresh * fresh, 1)
    np.testing.assert_array_equal(y.numpy(), fresh.numpy())


def test_zero_grad(make: Make) -> None:
    x = leaf(3)
    (x * x).sum().backward()
    make([x]).zero_grad()
    assert x.grad is None


# --- the sphere


def aligned(z: Parameter, target: Tensor) -> Tensor:
    """Return a loss that is smallest at the target and steep along the radius."""
    return (z - 2 * target) ** 2


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(5, 7), (4, 2, 3, 3)])
def test_rows_stay_on_the_sphere_while_the_loss_decreases(
    make: Make, shape: tuple[int, ...], dtype: str
) -> None:
    z = Parameter(init.sphere(shape, rng=0, dtype=dtype), constraint=Sphere())
    target = Tensor(init.sphere(shape, rng=1, dtype=dtype))
    losses = descend(make([z]), lambda: aligned(z, target), 100)
    norms = np.sqrt((z.numpy().astype("f8").reshape(len(z), -1) ** 2).sum(axis=1))
    np.testing.assert_allclose(norms, 1, atol=1e-6)
    assert losses[-1] < 0.5 * losses[0]
    assert z.dtype == dtype
    assert type(z.constraint) is Sphere


@pytest.mark.parametrize("kind", ["sgd", "momentum", "nesterov"])
def test_the_radial_part_of_a_gradient_has_no_effect(kind: str) -> None:
    """The gradient of a function of the norms is along z: no step, and zero moments."""
    z = Parameter(init.sphere((5, 7), rng=0, dtype="float64"), constraint=Sphere())
    start = z.numpy().copy()
    optimizer = MAKES[kind]([z], lr=1e-3)
    descend(optimizer, lambda: -1e3 * z * z, 5)
    np.testing.assert_allclose(z.numpy(), start, atol=1e-12)
    for name in optimizer.moments:
        np.testing.assert_allclose(optimizer.state[0][name], 0, atol=1e-9)


@pytest.mark.parametrize("kind", ["momentum", "nesterov", "adam", "adamw"])
def test_running_means_are_tangent_at_the_new_point(kind: str) -> None:
    z = Parameter(init.sphere((5, 7), rng=0, dtype="float64"), constraint=Sphere())
    target = Tensor(init.sphere((5, 7), rng=1, dtype="float64"))
    optimizer = MAKES[kind]([z], lr=0.2)
    for _ in range(5):
        descend(optimizer, lambda: aligned(z, target), 1)
        mean = optimizer.state[0][optimizer.tangents[0]]
        assert abs(mean).max() > 1e-3
        np.testing.assert_allclose((mean * z.numpy()).sum(axis=1), 0, atol=1e-12)


def test_one_step_on_the_sphere_is_project_then_normalise() -> None:
    z = Parameter([[0.6, 0.8]], constraint=Sphere())
    z.grad = Tensor([[1.0, 0.0]])
    SGD([z], lr=0.5).step()
    moved = np.array([0.6, 0.8]) - 0.5 * (np.array([1.0, 0.0]) - 0.6 * np.array([0.6, 0.8]))
    np.testing.assert_allclose(z.numpy()[0], moved / np.hypot(*moved), rtol=1e-14)


def test_weight_decay_has_no_effect_on_the_sphere() -> None:
    results = []
    for decay in (0.0, 0.5):
        z = Parameter(init.sphere((3, 4), rng=0, dtype="float64"), constraint=Sphere())
        descend(AdamW([z], lr=0.1, weight_decay=decay), lambda z=z: z * z * z, 5)  # type: ignore[misc]
        results.append(z.numpy())
    np.testing.assert_allclose(results[0], results[1], atol=1e-12)


def test_nan_gradients_do_not_move_a_point_of_the_sphere(make: Make) -> None:
    z = Parameter([[0.6, 0.8]], constraint=Sphere())
    z.grad = Tensor([[np.nan, 0.0]])
    with pytest.raises(LinearAlgebraError, match="non-zero finite rows, got NaN"):
        make([z]).step()
    assert z.tolist() == [[0.6, 0.8]]


def test_free_and_constrained_parameters_go_together(make: Make) -> None:
    z = Parameter([[1.0, 0.0]], constraint=Sphere(), dtype="float32")
    layer = Linear(2, 1, rng=0)
    losses = descend(
        make([z, *layer.parameters()]), lambda: layer(z) ** 2 + ((z - 2.0) ** 2).sum(), 30
    )
    assert losses[-1] < losses[0]
    np.testing.assert_allclose(np.linalg.norm(z.numpy()), 1, atol=1e-6)


# --- saved state


def test_a_loaded_state_continues_bit_for_bit(make: Make) -> None:
    straight, resumed = leaf(4), leaf(4)
    optimizer = make([straight])
    descend(optimizer, lambda: straight**4, 6)
    first = make([resumed])
    descend(first, lambda: resumed**4, 3)
    state = first.state_dict()
    # The saved state is a copy.
    descend(first, lambda: resumed * 1.0, 1)
    resumed.data = leaf(4).data
    replay = make([resumed])
    descend(replay, lambda: resumed**4, 3)
    second = make([resumed], lr=0.7)
    second.load_state_dict(state)
    assert second.lr == first.lr
    assert {type(state["steps"]) for state in second.state} == {int}
    for array in [value for value in state.values() if isinstance(value, np.ndarray)]:
        # The loaded state is a copy.
        array[...] = 1
    descend(second, lambda: resumed**4, 3)
    assert resumed.numpy().tobytes() == straight.numpy().tobytes()


def test_names_of_the_state() -> None:
    state = Adam([leaf(2), leaf(3)]).state_dict()
    assert list(state) == ["lr", "0.steps", "0.mean", "0.square", "1.steps", "1.mean", "1.square"]
    assert list(SGD([leaf(2)], lr=1).state_dict()) == ["lr", "0.steps"]


def test_a_state_that_does_not_match_changes_nothing() -> None:
    optimizer = SGD([leaf(2)], lr=0.1, momentum=0.9)
    good = optimizer.state_dict()
    for bad in (
        {**good, "lr": 0.5, "0.momentum": np.ones(3)},
        {**good, "lr": 0.5, "0.momentum": np.ones(2, np.float32)},
        {**good, "lr": 0.5, "1.momentum": np.ones(2)},
        {"lr": 0.5},
    ):
        with pytest.raises(
            DataError,
            match=r"^SGD.load_state_dict: argument state expected what SGD.state_dict\(\)",
        ):
            optimizer.load_state_dict(bad)
    with pytest.raises(
        ConfigError, match=r"SGD: argument lr expected a finite number >= 0, got -1.0"
    ):
        optimizer.load_state_dict({**good, "lr": -1.0, "0.momentum": np.ones(2)})
    assert optimizer.lr == 0.1
    assert optimizer.state[0]["momentum"].tolist() == [0, 0]


# --- what is refused


def test_lr_is_assignable_down_to_zero(make: Make) -> None:
    x = leaf(2)
    before = x.numpy().copy()
    optimizer = make([x])
    optimizer.lr = 0
    descend(optimizer, lambda: x * x, 1)
    np.testing.assert_array_equal(x.numpy(), before)
    for value in (-0.1, float("nan"), float("inf"), "fast"):
        with pytest.raises(ConfigError, match="argument lr expected a finite number >= 0, got"):
            optimizer.lr = value  # type: ignore[assignment]
    assert optimizer.lr == 0


@pytest.mark.parametrize("lr", [0, -1.0, float("nan"), float("inf"), None])
def test_lr_at_construction_is_positive(make: Make, lr: object) -> None:
    with pytest.raises(ConfigError, match=r"^\w+: argument lr expected a finite number > 0, got"):
        make([leaf(2)], lr=lr)


@pytest.mark.parametrize("decay", [-0.1, float("nan"), float("inf")])
@pytest.mark.parametrize("kind", [SGD, Adam, AdamW])
def test_weight_decay_out_of_range(kind: Make, decay: float) -> None:
    with pytest.raises(
        ConfigError, match=f"^{kind.__name__}: argument weight_decay expected a finite number >= 0"
    ):
        kind([leaf(2)], lr=0.1, weight_decay=decay)


def test_parameters_that_cannot_be_trained(make: Make) -> None:
    x = leaf(2)
    for params, error, message in (
        ([], ConfigError, "argument params expected at least one tensor, got none"),
        (iter(()), ConfigError, "argument params expected at least one tensor, got none"),
        (x, DTypeError, "argument params expected an iterable of tensors, got Tensor"),
        (
            Linear(1, 1, rng=0),
            DTypeError,
            "argument params expected an iterable of tensors, got Linear",
        ),
        ({"x": x}, DTypeError, r"argument params\[0\] expected a Tensor, got str"),
        ([x, np.ones(2)], DTypeError, r"argument params\[1\] expected a Tensor, got ndarray"),
        (
            [x, x * 1],
            ConfigError,
            r"argument params\[1\] expected a leaf, got the result of an operation",
        ),
        (
            [Tensor([1.0])],
            ConfigError,
            r"argument params\[0\] expected requires_grad=True, got False",
        ),
        (
            [leaf(1), x, x],
            ConfigError,
            r"argument params\[2\] expected each tensor once, got that of params\[1\]",
        ),
    ):
        with pytest.raises(error, match=rf"^\w+: {message}"):
            make(params)


def test_a_generator_of_parameters_is_accepted(make: Make) -> None:
    layer = Linear(2, 1, rng=0)
    assert make(layer.parameters()).params == [layer.weight, layer.bias]


def test_k_batches_of_one_size_are_one_batch(make: Make) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(12, 3)), rng.normal(size=12)
    x, y = leaf(3), leaf(3)
    one, other = make([x]), make([y])
    for _ in range(3):
        one.zero_grad()
        for rows in np.split(np.arange(12), 4):
            loss = ((Tensor(a[rows]) @ x - b[rows]) ** 2).mean()
            (loss / 4).backward()
        one.step()
        other.zero_grad()
        ((Tensor(a) @ y - b) ** 2).mean().backward()
        other.step()
    np.testing.assert_allclose(x.numpy(), y.numpy(), rtol=1e-9)
