import numpy as np
import pytest

from tinygrad_ckn import Tensor
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.optim import Adam, AdamW

START = np.array([1.5, -2.0, 0.3])


def run(kind: type[Adam], steps: int, scale: float = 1.0, **options: object) -> np.ndarray:
    x = Tensor(START, requires_grad=True)
    optimizer = kind([x], **options)  # type: ignore[arg-type]
    for _ in range(steps):
        optimizer.zero_grad()
        ((x**4 + x).sum() * scale).backward()
        optimizer.step()
    return np.array(x.numpy())


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_several_steps_agree_with_the_formula(decoupled: bool, decay: float) -> None:
    """Kingma & Ba 2015, algorithm 1; Loshchilov & Hutter 2019, algorithm 2."""
    x, m, v = START.copy(), np.zeros(3), np.zeros(3)
    lr, b1, b2, eps = 0.05, 0.7, 0.95, 1e-3
    for t in range(1, 8):
        g = 4 * x**3 + 1 + (0 if decoupled else decay * x)
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        m_hat, v_hat = m / (1 - b1**t), v / (1 - b2**t)
        x = x - lr * (m_hat / (np.sqrt(v_hat) + eps) + (decay * x if decoupled else 0))
    actual = run(
        AdamW if decoupled else Adam, 7, lr=lr, betas=(b1, b2), eps=eps, weight_decay=decay
    )
    np.testing.assert_allclose(actual, x, rtol=1e-13)


def test_the_scale_of_the_loss_does_not_matter() -> None:
    np.testing.assert_allclose(
        run(Adam, 5, eps=1e-300), run(Adam, 5, scale=1e6, eps=1e-300), rtol=1e-12
    )


def test_the_first_step_is_lr_in_each_coordinate() -> None:
    np.testing.assert_allclose(abs(run(Adam, 1, lr=0.25) - START), 0.25, rtol=1e-6)


def test_decay_is_decoupled_from_the_gradients_scale() -> None:
    """The decay of AdamW does not depend on the scale of the loss; that of Adam does."""
    for scale in (1.0, 1e6):
        free, decayed = (
            run(AdamW, 1, scale=scale, lr=0.1, weight_decay=decay) for decay in (0.0, 0.5)
        )
        np.testing.assert_allclose(free - decayed, 0.1 * 0.5 * START, rtol=1e-12)
    free, decayed = (run(Adam, 1, scale=1e6, lr=0.1, weight_decay=decay) for decay in (0.0, 0.5))
    np.testing.assert_allclose(free, decayed, atol=1e-12)


def test_defaults() -> None:
    x = Tensor([1.0], requires_grad=True)
    for kind, decay in ((Adam, 0.0), (AdamW, 0.01)):
        optimizer = kind([x])
        options = optimizer.lr, optimizer.betas, optimizer.eps, optimizer.weight_decay
        assert options == (1e-3, (0.9, 0.999), 1e-8, decay)


@pytest.mark.parametrize("kind", [Adam, AdamW])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"betas": 0.9}, "argument betas expected two numbers, got 0.9"),
        ({"betas": (0.9,)}, r"argument betas expected two numbers, got \(0.9,\)"),
        ({"betas": (1.0, 0.9)}, r"argument betas\[0\] expected a number in \[0, 1\), got 1.0"),
        ({"betas": (0.9, -0.1)}, r"argument betas\[1\] expected a number in \[0, 1\), got -0.1"),
        ({"eps": 0}, "argument eps expected a finite number > 0, got 0"),
    ],
)
def test_options_out_of_range(kind: type[Adam], options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{kind.__name__}: {message}"):
        kind([Tensor([1.0], requires_grad=True)], **options)  # type: ignore[arg-type]
