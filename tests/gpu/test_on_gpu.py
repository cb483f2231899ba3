"""On a real GPU: `pytest -m gpu`. Elsewhere these tests are skipped with the reason."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.gpu.test_operations import drawn_for, each, results, with_kernels
from tinygrad_ckn import Tensor, ops
from tinygrad_ckn.backend import asarray, synchronize, to_numpy, use
from tinygrad_ckn.data import load_digits
from tinygrad_ckn.models import CKN, CKNLayer, spherical_kmeans
from tinygrad_ckn.models.clustering import assignment as directions
from tinygrad_ckn.primitive import REGISTRY
from tinygrad_ckn.training import train

pytestmark = pytest.mark.gpu
# A GPU adds in another order, and cuBLAS and cuSOLVER round differently.
LOOSE = {"float64": 1e-9, "float32": 1e-3}


def assert_near(mine: Any, reference: Any, dtype: str) -> None:
    for a, b in zip(mine, reference, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        if b.size:
            assert np.abs(a - b).max() <= LOOSE[dtype] * np.abs(b).max()


@each
@pytest.mark.parametrize("dtype", LOOSE)
def test_values_and_gradients_are_those_of_the_cpu(case, dtype):
    @settings(max_examples=5)
    @given(data=st.data())
    def run(data):
        args, options = drawn_for(case, data, dtype)
        function = case.call(options)
        assert_near(results(function, args, "cuda"), results(function, args, "cpu"), dtype)

    run()


@pytest.mark.parametrize("case", with_kernels, ids=lambda case: case.name)
@pytest.mark.parametrize("dtype", LOOSE)
def test_kernels_agree_with_plain_forwards(case, dtype, monkeypatch):
    @settings(max_examples=5)
    @given(data=st.data())
    def run(data):
        args, options = drawn_for(case, data, dtype)
        function = case.call(options)
        fast = results(function, args, "cuda")
        with monkeypatch.context() as without:
            for other in with_kernels:
                without.delitem(REGISTRY[other.name].kernels, "cuda", raising=False)
            assert_near(fast, results(function, args, "cuda"), dtype)

    run()


@pytest.mark.parametrize("dtype", LOOSE)
def test_k_means_with_its_kernels_and_without(dtype, monkeypatch):
    x = np.random.default_rng(1).normal(size=(5000, 27)).astype(dtype)
    on_gpu = spherical_kmeans(asarray(x, device="cuda"), 40, iterations=3, rng=0).centroids
    monkeypatch.setattr(directions, "supported", lambda *arrays: False)
    plain = spherical_kmeans(asarray(x, device="cuda"), 40, iterations=3, rng=0).centroids
    on_cpu = spherical_kmeans(x, 40, iterations=3, rng=0).centroids
    for found in (on_gpu, plain):
        similar = (to_numpy(found) * on_cpu).sum(axis=1)
        # A point between two centroids may be assigned to either.
        assert np.median(similar) > 1 - LOOSE[dtype]


@pytest.mark.parametrize("dtype", LOOSE)
def test_a_step_of_a_network(dtype):
    digits, found = load_digits(), {}
    for device in ("cpu", "cuda"):
        layers = [
            CKNLayer(1, 32, 3, subsampling=2, dtype=dtype, rng=1),
            CKNLayer(32, 64, 2, dtype=dtype, rng=2),
        ]
        model = CKN(1, 8, 10, layers, rng=3).to(device)
        images = asarray(digits.train.images[:128], dtype=dtype, device=device)
        loss = ops.cross_entropy(
            model(Tensor(images)), asarray(digits.train.labels[:128], device=device)
        )
        loss.backward()
        synchronize(device)
        found[device] = [
            to_numpy(a) for a in (loss.data, *(p.grad.data for p in model.parameters()))
        ]
    assert_near(found["cuda"], found["cpu"], dtype)


def test_images_larger_than_one_launch_are_cut():
    """More than 2^31 pixels in a batch: the last image is computed correctly."""
    xp = use("cuda").xp
    if xp.cuda.Device().mem_info[0] < 2**34:
        pytest.skip("16 GiB of free memory are needed on the GPU for a batch this large")
    x = xp.zeros((2**15 + 1, 1, 256, 256), dtype="float32")
    x[-1] = 1
    y = ops.gaussian_pool2d(x, 16)
    assert float(y[:-1].max()) == 0
    assert float(y[-1].max()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("mode", ["unsupervised", "supervised"])
def test_a_training_reaches_the_accuracy_of_the_cpu(mode, tmp_path):
    options = {"mode": mode, "n_patches": 5000, **({"epochs": 2} if mode == "supervised" else {})}
    correct = {
        device: train(load_digits(), **options, device=device, out=tmp_path / device).correct
        for device in ("cpu", "cuda")
    }
    assert abs(correct["cuda"] - correct["cpu"]) <= 4
