"""einops on Tensors against einops on arrays, and its gradients."""

import subprocess
import sys

import numpy as np
import pytest

from tinygrad_ckn import Tensor, einops_backend, nn
from tinygrad_ckn.testing import gradcheck

einops = pytest.importorskip("einops", reason="einops is not installed (pip install -e '.[test]')")

x = np.random.default_rng(0).normal(size=(2, 3, 4, 6))
CALLS = {
    "rearrange": lambda t: einops.rearrange(t, "b c (h i) w -> (b w) i c h", i=2),
    "mean": lambda t: einops.reduce(t, "b c (h i) (w j) -> b c h w", "mean", i=2, j=3),
    "max": lambda t: einops.reduce(t, "b c h w -> b c", "max"),
    "prod": lambda t: einops.reduce(t, "b c h w -> c w", "prod"),
    "repeat": lambda t: einops.repeat(t, "b c h w -> (b k) c h (w 2)", k=3),
    "einsum": lambda t: einops.einsum(t, t, "b c h w, b d h w -> c d"),
    "list": lambda t: einops.rearrange([t, t], "n b c h w -> b n c (h w)"),
    "pack": lambda t: einops.pack([t, t[:, 0]], "b * w")[0],
}


@pytest.mark.parametrize("name", CALLS)
def test_values_and_gradients(name):
    t = Tensor(x, requires_grad=True)
    found = CALLS[name](t)
    assert isinstance(found, Tensor)
    assert found.requires_grad
    assert np.allclose(found.numpy(), CALLS[name](x))
    gradcheck(CALLS[name], x[:1, :2, :2, :3] if name not in ("mean",) else x[:1], order=2)


def test_unpacked_tensors_keep_their_graph():
    t = Tensor(x, requires_grad=True)
    packed, shapes = einops.pack([t, t[:, 0]], "b * w")
    parts = einops.unpack(packed, shapes, "b * w")
    assert [part.shape for part in parts] == [t.shape, t[:, 0].shape]
    assert all(part.requires_grad for part in parts)


def test_parameters_are_tensors_too():
    assert einops.rearrange(nn.Parameter(x), "b c h w -> w h c b").shape == (6, 4, 3, 2)


def test_sizes_parse_and_the_backend_makes_arrays():
    assert einops.parse_shape(Tensor(x), "b c _ w") == {"b": 2, "c": 3, "w": 6}
    backend = einops_backend._registered[0]()
    assert backend.arange(0, 3).tolist() == [0, 1, 2]
    assert np.array_equal(backend.to_numpy(backend.from_numpy(x)), x)


def test_einops_may_be_imported_after_us():
    code = "import tinygrad_ckn, einops; t = tinygrad_ckn.Tensor([[1.0, 2.0]]); "
    code += "print(einops.rearrange(t, 'a b -> b a').shape)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(2, 1)"
