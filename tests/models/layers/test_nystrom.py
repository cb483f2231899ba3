import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_ckn import ops
from tinygrad_ckn.errors import DataError, ShapeError
from tinygrad_ckn.models import CKNLayer, nystrom_error, sample_patches, spherical_kmeans
from tinygrad_ckn.models.layers.nystrom import stacked_factors


def test_factors_are_those_of_each_layer() -> None:
    options = [(2, 6, 1e-3, 1), (3, 6, 1e-3, 1), (4, 12, 1e-3, 2), (4, 6, 0.1, 1), (5, 7, 1e-3, 1)]
    layers = [CKNLayer(c, p, 1, eps=eps, groups=g, rng=c) for c, p, eps, g in options]
    layers.append(CKNLayer(5, 6, 1, eps_convention="outside", rng=9))
    together = stacked_factors(layers)
    sum((t * t).sum() for found in together for t in found).backward()
    gradients = [layer.weight.grad.numpy() for layer in layers]
    for layer, found, gradient in zip(layers, together, gradients, strict=True):
        layer.weight.grad = None
        alone = ops.inverse_sqrt(layer.gram(), eps=layer.eps, convention=layer.eps_convention)
        (alone * alone).sum().backward()
        np.testing.assert_allclose(
            np.stack([t.numpy() for t in found]), alone.numpy(), rtol=1e-5, atol=1e-6
        )
        np.testing.assert_allclose(gradient, layer.weight.grad.numpy(), rtol=1e-4, atol=1e-5)


def error_by_the_kernel(layer: CKNLayer, patches: np.ndarray) -> float:
    """Return 1 - tr K(X, Z) (K(Z, Z) + eps I)^-1 K(Z, X) / tr K(X, X), from Gram matrices alone."""
    z = layer.weight.numpy().reshape(layer.n_filters, -1)
    across, among = layer.kernel(patches, z), layer.kernel(z, z)
    explained = across @ np.linalg.solve(among + layer.eps * np.eye(len(z)), across.T)
    return 1 - np.trace(explained) / np.trace(layer.kernel(patches, patches))


@given(st.integers(0, 2**32), st.sampled_from([1e-6, 1e-3, 0.1]))
@settings(max_examples=10, deadline=None)
def test_error_is_what_the_projection_leaves_of_the_trace(seed: int, eps: float) -> None:
    patches = np.random.default_rng(seed).normal(size=(20, 8))
    patches[3] = 0
    layer = CKNLayer(2, 5, 2, kernel="exponential", eps=eps, rng=seed, dtype="float64")
    assert nystrom_error(layer, patches) == pytest.approx(
        error_by_the_kernel(layer, patches), abs=1e-9
    )


def test_error_in_blocks_is_the_error_in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    patches = np.random.default_rng(0).normal(size=(20, 8))
    layer = CKNLayer(2, 5, 2, rng=1, dtype="float64")
    whole = nystrom_error(layer, patches)
    monkeypatch.setattr("tinygrad_ckn.models.layers.nystrom._BLOCK", 15)
    assert nystrom_error(layer, patches) == pytest.approx(whole, rel=1e-12)


def test_error_of_groups_adds_up_and_centred_patches_are_centred() -> None:
    rng = np.random.default_rng(0)
    patches = rng.normal(size=(15, 4 * 6))
    layer = CKNLayer(4, 6, (2, 3), groups=2, center=True, rng=1, dtype="float64")
    layer.center.data = rng.normal(size=(4, 2, 3))
    centred = patches - layer.center.numpy().reshape(-1)
    missed = whole = 0.0
    for group in range(2):
        alone = CKNLayer(2, 3, (2, 3), dtype="float64")
        alone.set_filters(layer.weight.numpy()[3 * group : 3 * group + 3])
        part = centred[:, 12 * group : 12 * group + 12]
        missed += error_by_the_kernel(alone, part) * (part**2).sum()
        whole += (part**2).sum()
    assert nystrom_error(layer, patches) == pytest.approx(missed / whole, abs=1e-9)


def test_error_falls_as_filters_are_added() -> None:
    rng = np.random.default_rng(0)
    images = rng.uniform(size=(20, 1, 8, 8)).astype("float32")
    errors = []
    for p in (2, 8, 32, 128):
        layer = CKNLayer(1, p, 3, rng=rng)
        patches = sample_patches(images, layer, 2000, rng=rng)
        layer.set_filters(spherical_kmeans(patches, p, rng=rng).centroids)
        errors.append(nystrom_error(layer, patches))
    assert errors == sorted(errors, reverse=True)
    assert 0 < errors[-1] < errors[0] / 5 < 0.2


def test_patches_that_do_not_fit_are_refused() -> None:
    layer = CKNLayer(2, 5, 2)
    with pytest.raises(
        ShapeError, match=r"CKNLayer.embed: argument patches expected shape \(n, 8\), got \(3, 7\)"
    ):
        nystrom_error(layer, np.ones((3, 7)))
    with pytest.raises(
        DataError, match="argument patches expected finite numbers, got NaN or infinity"
    ):
        nystrom_error(layer, np.full((3, 8), np.nan))
    with pytest.raises(
        DataError, match="argument patches expected at least one nonzero patch, got none"
    ):
        nystrom_error(layer, np.zeros((3, 8)))
