import numpy as np
import pytest
from scipy.optimize import minimize

from tinygrad_ckn import Tensor, ops
from tinygrad_ckn.errors import ConfigError, GradientError
from tinygrad_ckn.nn import Linear, Parameter, Sphere
from tinygrad_ckn.optim import LBFGS


def rosenbrock(x: Tensor) -> Tensor:
    result: Tensor = (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()
    return result


def start(n: int = 2, dtype: str = "float64") -> Tensor:
    return Tensor([-1.2, 1.0] * (n // 2), requires_grad=True, dtype=dtype)


@pytest.mark.parametrize("n", [2, 10])
def test_rosenbrock(n: int) -> None:
    x = start(n)
    optimizer = LBFGS([x], max_iterations=500, gradient_tolerance=1e-8)
    assert optimizer.result is None
    loss = optimizer.step(lambda: rosenbrock(x))
    result = optimizer.result
    assert result is not None
    np.testing.assert_allclose(x.numpy(), 1, atol=1e-6)
    assert type(loss) is float
    assert loss == result.loss == rosenbrock(x).item()
    assert loss < 1e-12
    assert result.converged
    assert 0 < result.iterations <= result.evaluations
    assert "CONVERGENCE" in result.message
    assert x.grad is None


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_logistic_regression_agrees_with_scipy(dtype: str) -> None:
    """The oracle is dense BFGS on a loss and gradient written out in NumPy."""
    rng = np.random.default_rng(0)
    x, labels, k, decay = rng.normal(size=(60, 4)), rng.integers(0, 3, 60), 3, 0.1

    def oracle(flat: np.ndarray) -> tuple[float, np.ndarray]:
        w = flat.reshape(k, 5)
        scores = x @ w[:, :4].T + w[:, 4]
        p = np.exp(scores - scores.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        loss = -np.log(p[np.arange(60), labels]).mean() + decay * (w**2).sum()
        g = (p - np.eye(k)[labels]) / 60
        return loss, (np.hstack([g.T @ x, g.sum(axis=0)[:, None]]) + 2 * decay * w).ravel()

    expected = minimize(oracle, np.zeros(15), jac=True, method="BFGS", options={"gtol": 1e-9})
    w = expected.x.reshape(k, 5)
    layer = Linear(4, k, rng=1, dtype=dtype)
    data = Tensor(x, dtype=dtype)

    def loss() -> Tensor:
        penalty = (layer.weight**2).sum() + (layer.bias**2).sum()
        result: Tensor = ops.cross_entropy(layer(data), labels) + decay * penalty
        return result

    optimizer = LBFGS(layer.parameters(), max_iterations=300, gradient_tolerance=1e-8)
    final = optimizer.step(loss)
    tolerance = 1e-6 if dtype == "float64" else 2e-3
    np.testing.assert_allclose(layer.weight.numpy(), w[:, :4], atol=tolerance)
    np.testing.assert_allclose(layer.bias.numpy(), w[:, 4], atol=tolerance)
    np.testing.assert_allclose(final, expected.fun, rtol=1e-12 if dtype == "float64" else 1e-6)
    assert layer.weight.dtype == layer.bias.dtype == dtype


def test_parameters_of_several_shapes_and_dtypes() -> None:
    a = Tensor(5.0, requires_grad=True)
    b = Parameter(np.zeros((2, 3)), dtype="float32")
    c = Tensor(np.zeros((1, 2, 1)), requires_grad=True)
    unused = Tensor([7.0], requires_grad=True)
    goal = np.arange(6.0).reshape(2, 3)
    LBFGS([a, b, c, unused]).step(
        lambda: (a - 1) ** 2 + ((b - goal) ** 2).sum() + ((c + 4) ** 2).sum()
    )
    np.testing.assert_allclose(a.numpy(), 1, atol=1e-5)
    np.testing.assert_allclose(b.numpy(), goal, atol=1e-5)
    np.testing.assert_allclose(c.numpy(), np.full((1, 2, 1), -4.0), atol=1e-5)
    assert unused.tolist() == [7]
    assert b.dtype == np.float32


def test_it_stops_after_max_iterations_at_the_best_point() -> None:
    x = start()
    first = rosenbrock(x).item()
    seen: list[float] = []

    def closure() -> Tensor:
        loss = rosenbrock(x)
        seen.append(loss.item())
        return loss

    optimizer = LBFGS([x], max_iterations=3)
    loss = optimizer.step(closure)
    assert optimizer.result is not None
    assert optimizer.result.iterations == 3
    assert not optimizer.result.converged
    assert optimizer.result.evaluations == len(seen)
    assert loss == min(seen) < first
    assert rosenbrock(x).item() == loss


def test_options_reach_scipy() -> None:
    """A looser tolerance stops earlier; a longer history is another path."""
    iterations = {}
    for tolerance, history in ((1e-8, 10), (1.0, 10), (1e-8, 1)):
        x = start(10)
        optimizer = LBFGS(
            [x], max_iterations=500, gradient_tolerance=tolerance, history_size=history
        )
        optimizer.step(lambda x=x: rosenbrock(x))  # type: ignore[misc]
        assert optimizer.result is not None
        iterations[tolerance, history] = optimizer.result.iterations
    assert iterations[1.0, 10] < iterations[1e-8, 10] < iterations[1e-8, 1]


def test_a_second_step_continues() -> None:
    x = start()
    optimizer = LBFGS([x], max_iterations=10)
    losses = [optimizer.step(lambda: rosenbrock(x)) for _ in range(10)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 1e-8


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_interrupted_search_leaves_the_best_point(error: type[BaseException]) -> None:
    x = start()
    losses: list[float] = []

    def closure() -> Tensor:
        if len(losses) == 12:
            raise error("stop")
        loss = rosenbrock(x)
        losses.append(loss.item())
        return loss

    with pytest.raises(error, match="stop"):
        LBFGS([x]).step(closure)
    assert rosenbrock(x).item() == min(losses) < losses[0]
    assert x.grad is None


def test_a_loss_that_becomes_nan_leaves_the_best_point() -> None:
    x = Tensor([1.0], requires_grad=True)

    # Decreases towards 0, and is NaN below 0.25.
    def loss() -> Tensor:
        result: Tensor = x.sum() if x.item() > 0.25 else x.sum() * float("nan")
        return result

    final = LBFGS([x], max_iterations=20).step(loss)
    assert final == x.item()
    assert 0.25 < x.item() <= 1


def test_unusable_closures_are_rejected() -> None:
    x = start()
    for closure, message in (
        (
            lambda: rosenbrock(x).item(),
            "the closure expected to return the loss as a Tensor, got float",
        ),
        (
            lambda: rosenbrock(x) * float("nan"),
            "the closure expected to return a finite loss at the start, got nan",
        ),
        (
            lambda: rosenbrock(x.detach()),
            "expected an output that depends on a tensor with requires_grad=True",
        ),
    ):
        with pytest.raises(GradientError, match=message):
            LBFGS([x]).step(closure)  # type: ignore[arg-type]
        assert x.tolist() == [-1.2, 1.0]


def test_a_constraint_is_rejected() -> None:
    z = Parameter([[1.0, 0.0]], constraint=Sphere())
    with pytest.raises(
        ConfigError,
        match=r"LBFGS: argument params\[1\] expected a parameter without constraint, got one",
    ):
        LBFGS([start(), z])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_iterations": 0}, "argument max_iterations expected an integer >= 1, got 0"),
        ({"history_size": 0}, "argument history_size expected an integer >= 1, got 0"),
        (
            {"gradient_tolerance": -1.0},
            "argument gradient_tolerance expected a finite number >= 0, got -1.0",
        ),
    ],
)
def test_options_out_of_range(options: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^LBFGS: {message}"):
        LBFGS([start()], **options)  # type: ignore[arg-type]


def test_an_empty_list_of_parameters_is_rejected() -> None:
    with pytest.raises(ConfigError, match="LBFGS: argument params expected at least one tensor"):
        LBFGS([])
