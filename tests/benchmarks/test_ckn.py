"""The transcription in PyTorch agrees with the library: features, losses, gradients, steps."""

import numpy as np
import pytest

from benchmarks import ckn
from benchmarks.ckn import (
    ckn_case,
    ckn_inputs,
    multiplications,
    natural_images,
    our_features,
    our_training,
)
from benchmarks.measure import relative_error
from benchmarks.suite import OURS

pytest.importorskip("torch", reason="the peer is PyTorch: pip install -e '.[bench]'")

DOUBLE = {"dtype": "float64"}


def zero_patches(inputs):
    """Blacken part of the first image: norms of zero patches have no derivative."""
    inputs["images"][0, :, :6] = 0
    return inputs


@pytest.fixture(scope="module")
def inputs():
    return zero_patches(ckn_inputs("ckn5", n_images=4, size=13, filters=6))


@pytest.mark.parametrize("pool_first", [False, True])
def test_features_are_the_same(inputs, pool_first):
    ours = our_features(inputs, "cpu", **DOUBLE).outputs()
    work = ckn.torch_features(inputs, "cpu", pool_first=pool_first, **DOUBLE)
    assert relative_error(work.outputs()["features"], ours["features"]) < 1e-12
    # with its cached transforms
    assert relative_error(work.step(), ours["features"]) < 1e-12
    assert ours["features"].shape == (4, 6 * 2 * 2)


@pytest.mark.parametrize("pool_first", [False, True])
def test_two_training_steps_are_the_same(inputs, pool_first):
    mine, theirs = (
        our_training(inputs, "cpu", **DOUBLE),
        ckn.torch_training(inputs, "cpu", pool_first=pool_first, **DOUBLE),
    )
    ours, found = mine.outputs(), theirs.outputs()
    assert len(ours["gradients"]) == len(ours["weights"]) == 7
    assert all(np.abs(gradient).max() > 0 for gradient in ours["gradients"])
    for name, expected in ours.items():
        assert relative_error(found[name], expected) < 1e-9, name
    assert ours["losses"][1] < ours["losses"][0]
    # with momentum
    assert theirs.step().item() == pytest.approx(mine.step().item(), rel=1e-12)


def test_the_gradient_is_exact_where_filters_coincide():
    inputs = ckn_inputs("unsup-64-256", n_images=2, size=13, filters=6)
    z = inputs["weights"]["layers.0.weight"]
    z[1] = z[0]
    ours, theirs = (
        make(inputs, "cpu", **DOUBLE).outputs() for make in (our_training, ckn.torch_training)
    )
    assert relative_error(theirs["gradients"], ours["gradients"]) < 1e-9


def test_float32_is_float32(inputs):
    for make in (our_features, ckn.torch_features):
        found = make(inputs, "cpu").outputs()["features"]
        assert found.dtype == "float32"
        assert (
            relative_error(found, ckn.torch_features(inputs, "cpu", **DOUBLE).outputs()["features"])
            < 1e-4
        )


def test_the_transcription_names_what_it_does_not_support(inputs):
    layer = {**inputs["config"]["layers"][0], "padding": "valid"}
    with pytest.raises(
        ValueError,
        match=r"expected odd kernels and \{'subsampling': \[2, 2\], .*'padding': 'same'.*, "
        r"got .*'padding': 'valid'",
    ):
        ckn.torch_features({**inputs, "config": {**inputs["config"], "layers": [layer]}}, "cpu")


def test_images_are_standardised_and_smooth():
    images = natural_images(3, 2, 16, np.random.default_rng(0))
    assert (images.shape, images.dtype) == ((3, 2, 16, 16), "float32")
    np.testing.assert_allclose(images.mean(axis=(1, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(images.std(axis=(1, 2, 3)), 1, rtol=1e-5)
    neighbours = (images[..., 1:] * images[..., :-1]).mean()
    assert neighbours > 0.5


def test_inputs_are_the_same_every_time():
    first, second = (ckn_inputs("ckn5", n_images=2, size=13, filters=4) for _ in range(2))
    assert first["config"] == second["config"]
    np.testing.assert_array_equal(first["images"], second["images"])
    for name, array in first["weights"].items():
        np.testing.assert_array_equal(array, second["weights"][name])


def test_multiplications_of_a_forward_pass():
    two_layers = 32**2 * 27 * 5 + 16**2 * 5 * 5 + 16**2 * 5 * 9 * 5 + 3**2 * 5 * 5
    assert multiplications("unsup-64-256", 2, 32, 5) == 2 * two_layers


def test_a_case_names_its_peers():
    case = ckn_case(
        "c", dict, training=True, targets={ckn.TUNED: 0.5}, peers=(ckn.TUNED, ckn.EAGER), rounds=3
    )
    assert [(side.name, side.tuned_malloc) for side in case.sides] == [
        (OURS, False),
        (ckn.TUNED, True),
        (ckn.EAGER, False),
    ]
    assert case.reference is not None
    assert case.reference.options == DOUBLE
    assert case.rounds == 3
