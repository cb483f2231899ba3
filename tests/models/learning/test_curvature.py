"""The largest curvature of a loss, against the eigenvalues of matrices that are known."""

import numpy as np
import pytest

from tinygrad_ckn import Tensor, ops
from tinygrad_ckn.data import load_digits
from tinygrad_ckn.models import CKN, FineTuning, Progress
from tinygrad_ckn.models.learning.curvature import largest_curvature
from tinygrad_ckn.nn import Parameter, Sphere


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sign", [1, -1])
def test_of_a_quadratic_it_is_the_largest_eigenvalue(dtype: str, sign: int) -> None:
    rng = np.random.default_rng(0)
    q, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    matrix = (q * [0.1, 1, 2, 3, 5, sign * 40]) @ q.T
    a, b = (Tensor(rng.normal(size=3).astype(dtype), requires_grad=True) for _ in range(2))
    a.grad = before = Tensor(np.ones(3, dtype))
    start = a.data.copy(), b.data.copy()

    def objective() -> Tensor:
        x = ops.concatenate([a, b])
        return 0.5 * (x * (x @ matrix.astype(dtype))).sum()

    assert largest_curvature(objective, [a, b]) == pytest.approx(40, rel=0.02)
    np.testing.assert_array_equal(a.data, start[0])
    np.testing.assert_array_equal(b.data, start[1])
    assert (a.grad, b.grad) == (before, None)


def test_on_a_sphere_it_is_that_of_the_manifold() -> None:
    """Along a unit tangent at z, cos t <a, z> has the second derivative -<a, z>."""
    z = Parameter(np.array([[0.6, 0.8]]), constraint=Sphere())

    def objective() -> Tensor:
        return (z * np.array([[7.0, 1.0]])).sum()

    found = largest_curvature(objective, [z])
    assert found == pytest.approx(7 * 0.6 + 0.8, rel=1e-3)


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_where_there_is_no_gradient_it_says_nothing(value: float) -> None:
    x = Tensor([1.0], requires_grad=True)

    def objective() -> Tensor:
        return (x * value).sum()

    assert largest_curvature(objective, [x]) == 0


def test_the_default_rate_is_less_where_the_loss_is_curved_and_a_given_one_is_taken() -> None:
    train = load_digits().train
    rates: dict[float | None, float] = {}

    def look(progress: Progress) -> None:
        if progress.phase == "start":
            rates[lr] = progress.values["lr"]

    for lr in (None, 0.01, 0.5):
        model = CKN.preset("unsup-32-64", in_channels=1, image_size=8, n_classes=10, rng=0)
        images, labels = train.images[:200], train.labels[:200]
        model.fit(
            images,
            labels,
            descent=FineTuning(epochs=0, lr=lr),
            n_patches=500,
            iterations=1,
            rng=0,
            report=look,
        )
    assert rates[0.01] == 0.01
    assert rates[0.5] == 0.5
    assert 1e-5 < rates[None] < 0.005


def test_the_usual_rate_is_that_of_the_optimiser() -> None:
    assert FineTuning().lr is None
    assert (
        FineTuning().base_lr,
        FineTuning(optimizer="adam").base_lr,
        FineTuning(lr=0.3).base_lr,
    ) == (
        0.01,
        0.001,
        0.3,
    )
    assert FineTuning(momentum=0.75).stable_lr(100.0) == 0.0025
    assert FineTuning().stable_lr(0.0) == FineTuning().stable_lr(1e-30) == 0.01
