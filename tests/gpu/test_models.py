"""Models on the stand-in for CuPy learn and compute the same as on the CPU."""

from typing import Any

import numpy as np
import pytest

from tinygrad_ckn import Tensor, ops
from tinygrad_ckn.backend import asarray, to_numpy
from tinygrad_ckn.data import load_digits
from tinygrad_ckn.errors import BackendError, ConfigError, DataError
from tinygrad_ckn.models import (
    CKN,
    CKNLayer,
    KernelRidgeClassifier,
    exact_kernel,
    fit_linear,
    fit_ridge,
    from_config,
    kernels,
    nystrom_error,
    preprocessing,
    sample_patches,
    spherical_kmeans,
)

DIGITS = load_digits()
IMAGES, LABELS = DIGITS.train.images[:60].astype("float64"), DIGITS.train.labels[:60]
COLOURS = np.random.default_rng(0).random((40, 3, 8, 8))
pytestmark = pytest.mark.usefixtures("plain")


def network(**options: Any) -> CKN:
    layers = [CKNLayer(1, 8, 3, subsampling=2, dtype="float64", rng=1)]
    return CKN(1, 8, 10, [*layers, CKNLayer(8, 12, 2, dtype="float64", rng=2, **options)], rng=3)


def on_both(compute: Any, tolerance: float = 1e-12) -> None:
    """Compare compute(device), arrays and numbers, relative to the largest value."""
    found = {
        device: [to_numpy(a) if hasattr(a, "dtype") else a for a in compute(device)]
        for device in ("cpu", "cuda")
    }
    for mine, reference in zip(found["cuda"], found["cpu"], strict=True):
        assert np.shape(mine) == np.shape(reference)
        assert np.abs(mine - reference).max() <= tolerance * np.abs(reference).max()


def test_filters_without_labels_and_features():
    def compute(device):
        x = asarray(IMAGES, device=device)
        model = network().to(device).fit_unsupervised(x, n_patches=500, iterations=4, rng=0)
        features = model.encode(x)
        assert type(features) is type(x)
        return [*(p.data for p in model.parameters()), features, model.eval().predict(x)]

    on_both(compute)


def test_a_classifier_fitted_on_the_device():
    def compute(device):
        x, y = asarray(IMAGES, device=device), asarray(LABELS, device=device)
        model = network().to(device)
        fit = model.fit_classifier(x, y, l2=1e-2, rng=0)
        assert model.classifier.weight.device == device
        return [fit.weight, fit.bias, fit.scale, model.accuracy(x, y)]

    # 30 iterations of L-BFGS, which accumulate rounding
    on_both(compute, 1e-9)


def test_the_choice_of_l2_is_that_of_the_cpu():
    random = np.random.default_rng(0)
    x = random.normal(size=(200, 80))
    # enough noise for a large best l2
    labels = (x[:, 0] + random.normal(size=200) > 0).astype("int64")

    def compute(device):
        fit = fit_linear(
            asarray(x, device=device),
            asarray(labels, device=device),
            2,
            loss="squared_hinge",
            rng=1,
        )
        return [fit.l2, *(held.error for held in fit.held_out.values())]

    on_both(compute)


def test_ridge_regression_primal_and_dual():
    def compute(device):
        features, y = (
            network().to(device).encode(asarray(IMAGES, device=device)),
            asarray(LABELS, device=device),
        )
        fits = [fit_ridge(features[:, :columns], y * 1.0) for columns in (20, None)]
        return [part for fit in fits for part in (fit.weight, fit.bias, fit.l2)]

    # a system with condition number 1e6
    on_both(compute, 1e-9)


def test_exact_kernel_and_kernel_ridge():
    def compute(device):
        x, y = asarray(IMAGES[:30], device=device), asarray(LABELS[:20], device=device)
        model = network().to(device)
        gram, cross = exact_kernel(model, x[:20]), exact_kernel(model, x[20:], x[:20])
        classifier = KernelRidgeClassifier().fit(gram, y)
        return [gram, cross, classifier.scores(cross), classifier.predict(cross), classifier.l2_]

    on_both(compute)


KERNELS = [
    kernels.ArcCosine0(),
    kernels.ArcCosine1(),
    kernels.Linear(),
    kernels.Matern(),
    kernels.Polynomial(2),
    kernels.InnerPolynomial(1.0, 2),
    kernels.InversePolynomial(),
    kernels.PowerSeries((0.5, 0.5)),
    kernels.Exponential(0.6, trained=True),
]


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_layers_of_every_kernel(kernel):
    def compute(device):
        x, y = asarray(IMAGES[:5], device=device), asarray(LABELS[:5], device=device)
        model = network(kernel=kernel).to(device)
        loss = ops.cross_entropy(model(Tensor(x)), y)
        loss.backward()
        rows = x.reshape(5, -1)
        return [
            loss.data,
            *(p.grad.data for p in model.parameters()),
            model.encode(x),
            kernel(rows[:2], rows[2:]),
        ]

    on_both(compute)


@pytest.mark.parametrize(
    "options",
    [
        {"pooling": "average", "subsampling": 2, "center": True},
        {"pooling": "max", "subsampling": 2, "eps_convention": "outside"},
        {"pooling": "strided", "subsampling": 2, "dilation": 2},
        {"groups": 4, "subsampling": 1.5, "padding": "valid"},
    ],
    ids=lambda options: options.get("pooling", "groups"),
)
def test_layers_of_every_kind(options):
    def compute(device):
        x, y = asarray(IMAGES, device=device), asarray(LABELS, device=device)
        model = network(**options).to(device)
        loss = ops.squared_hinge(model(Tensor(x)), y)
        loss.backward()
        gradients = [p.grad.data for p in model.parameters()]
        model.fit_unsupervised(x, n_patches=300, iterations=2, rng=0)
        patches = sample_patches(x, model.layers[0], 100, rng=0)
        return [
            loss.data,
            *gradients,
            *(p.data for p in model.parameters()),
            nystrom_error(model.layers[0], patches),
        ]

    on_both(compute)


@pytest.mark.parametrize("name", preprocessing.chain.NAMES)
@pytest.mark.parametrize("mirror_average", ["features", "scores"])
def test_preprocessing_fitted_on_the_device_and_saved(name, mirror_average):
    def compute(device):
        x = asarray(COLOURS, device=device)
        channels = preprocessing.make_preprocessor(name).output_shape((3, 8, 8))[0]
        layers = [CKNLayer(channels, 6, 3, subsampling=2, dtype="float64", rng=0)]
        model = CKN(3, 8, 2, layers, preprocessing=name, mirror_average=mirror_average).to(device)
        model.fit(
            x,
            asarray(np.arange(40) % 2, device=device),
            n_patches=300,
            iterations=2,
            l2=1e-1,
            rng=0,
        )
        again = from_config(model.config())
        again.load_state_dict(model.state_dict())
        np.testing.assert_allclose(
            again.scores(COLOURS), to_numpy(model.scores(x)), rtol=1e-6, atol=1e-8
        )
        return [model.preprocess(x), *(p.data for p in model.parameters()), model.scores(x)]

    # L-BFGS is included.
    on_both(compute, 1e-9)


@pytest.mark.parametrize("options", [{}, {"batch_size": 50}, {"init": "random"}], ids=str)
def test_k_means(options):
    def compute(device):
        x = asarray(np.random.default_rng(1).normal(size=(300, 6)), device=device)
        found = spherical_kmeans(x, 7, rng=0, **options)
        return [found.centroids, np.array(found.objective)]

    on_both(compute)


def test_images_on_the_host_go_to_the_model_block_by_block(tmp_path):
    model = network().to("cuda").eval()
    expected = to_numpy(model.encode(asarray(IMAGES, device="cuda")))
    features = model.encode(IMAGES, batch_size=20)
    assert type(features) is np.ndarray
    np.testing.assert_array_equal(features, expected)
    np.testing.assert_array_equal(
        model.encode(asarray(IMAGES, device="cuda"), tmp_path / "f.npy"), expected
    )
    assert model.predict(IMAGES).shape == (60,)
    assert 0 <= model.accuracy(IMAGES, LABELS.tolist()) <= 1


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda model, x, y: model(IMAGES), "CKN: argument images expected an array on 'cuda'"),
        (
            lambda model, x, y: model.fit_unsupervised(IMAGES),
            "CKN: argument images expected an array on 'cuda'",
        ),
        (
            lambda model, x, y: network().accuracy(IMAGES, y),
            "CKN: argument labels expected an array on 'cpu'",
        ),
        (
            lambda model, x, y: network().fit(IMAGES, y),
            "CKN: argument labels expected an array on 'cpu'",
        ),
        (
            lambda model, x, y: exact_kernel(model, x[:2], IMAGES[:2]),
            "exact_kernel: argument y expected .* on 'cuda'",
        ),
        (
            lambda model, x, y: KernelRidgeClassifier().fit(
                x[:20, 0, 0] @ x[:20, 0, 0].T, LABELS[:20]
            ),
            "KernelRidgeClassifier.fit: argument labels expected an array on 'cuda'",
        ),
        (lambda model, x, y: network()(x), "CKN: argument images expected an array on 'cpu'"),
    ],
)
def test_arrays_on_another_device_are_named(use, message):
    with pytest.raises(
        BackendError, match=rf"^{message}, as the others, got one on .*; pass Tensor\("
    ):
        use(network().to("cuda"), asarray(IMAGES, device="cuda"), asarray(LABELS, device="cuda"))


def test_labels_on_the_host_fit_images_on_any_device():
    x, words = asarray(IMAGES, device="cuda"), np.array([f"digit {i}" for i in range(10)])[LABELS]
    model = network().to("cuda")
    model.fit_classifier(x, words, l2=1e-2, rng=0)
    assert set(model.predict(x).tolist()) <= set(words.tolist())
    named = model.accuracy(x, words)
    model.data_format = None
    model.fit_classifier(x, LABELS, l2=1e-2, rng=0)
    assert named == model.accuracy(x, LABELS) == model.accuracy(x, asarray(LABELS, device="cuda"))


def test_nan_in_images_is_found_if_features_are_stored():
    images = IMAGES.copy()
    images[3, 0, 2, 2] = np.nan
    model, x = network().to("cuda").eval(), asarray(images, device="cuda")
    for use in (model.encode, model.predict, model.fit_unsupervised):
        with pytest.raises(DataError, match="NaN or infinity in image 3"):
            use(x)
    # A step does not wait: the loss is NaN.
    assert np.isnan(model(Tensor(x)).numpy()[3]).all()


def test_an_unfitted_preprocessing_says_so():
    model = (
        CKN(3, 8, 2, [CKNLayer(3, 6, 3, dtype="float64")], preprocessing="patch_zca")
        .to("cuda")
        .eval()
    )
    with pytest.raises(ConfigError, match="expected to be fitted before use"):
        model.predict(asarray(COLOURS, device="cuda"))
