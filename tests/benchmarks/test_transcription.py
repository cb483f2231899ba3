"""Features and gradients of filters agree with PyTorch's differentiation of the formulas.

Everything is float64. The peer's inverse square root has a hand-derived gradient, as
ours has. Here it is replaced by Newton's iteration of Denman and Beavers (1976), which
consists of matrix inverses that PyTorch differentiates by itself.
"""

import numpy as np
import pytest

from benchmarks import ckn
from benchmarks.ckn import ckn_inputs, our_features, our_training
from benchmarks.measure import relative_error

torch = pytest.importorskip("torch", reason="the peer is PyTorch: pip install -e '.[bench]'")
DOUBLE = {"dtype": "float64"}
STEPS = 40


class Newton:
    """Replaces `torch_ckn.InverseSqrt`."""

    @staticmethod
    def apply(a, eps):
        """Return (A + eps I)^(-1/2): Y -> (A + eps I)^(1/2), Z -> its inverse."""
        unit = torch.eye(len(a), dtype=a.dtype)
        y, z = a + eps * unit, unit
        for _ in range(STEPS):
            y, z = (y + torch.linalg.inv(z)) / 2, (z + torch.linalg.inv(y)) / 2
        return z


@pytest.fixture(params=["random", "near-duplicate"])
def inputs(request):
    made = ckn_inputs("ckn5", n_images=4, size=13, filters=6)
    if request.param == "near-duplicate":
        noise = np.random.default_rng(0)
        for z in made["weights"].values():
            if z.ndim == 4:
                z[1] = z[0] + 1e-4 * noise.normal(size=z[0].shape)
                z[1] /= np.linalg.norm(z[1])
    return made


def test_features_and_gradients_are_those_of_the_formulas(inputs, monkeypatch):
    from benchmarks.peers import torch_ckn

    features = our_features(inputs, "cpu", **DOUBLE).outputs()["features"]
    ours = our_training(inputs, "cpu", **DOUBLE).outputs()
    monkeypatch.setattr(torch_ckn, "InverseSqrt", Newton)
    theirs = ckn.torch_training(inputs, "cpu", pool_first=False, **DOUBLE).outputs()
    with torch.no_grad():
        expected = ckn.torch_features(inputs, "cpu", pool_first=False, **DOUBLE).outputs()[
            "features"
        ]
    assert relative_error(features, expected) < 1e-10
    for mine, gradient in zip(ours["gradients"], theirs["gradients"], strict=True):
        assert relative_error(mine, gradient) < 1e-8
