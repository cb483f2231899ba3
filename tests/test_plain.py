"""Options may be NumPy's numbers.

Models have the bits, the dtype and the file that Python's numbers give.
"""

import inspect
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_ckn import Tensor, models, nn, ops, optim
from tinygrad_ckn.data import crop_flip
from tinygrad_ckn.models import (
    CKN,
    CNN,
    CKNLayer,
    ConvLayer,
    FineTuning,
    KernelRidgeClassifier,
    kernels,
)
from tinygrad_ckn.models.kernels import Kernel
from tinygrad_ckn.models.preprocessing.chain import make_preprocessor
from tinygrad_ckn.plain import plain, plain_arguments
from tinygrad_ckn.training import load_model, save_model

x = np.random.default_rng(0).random((12, 1, 6, 6), dtype="float32")
y = np.arange(12) % 2


def numpy_kinds(value):
    """Return what a number may be given as, by NumPy."""
    if isinstance(value, bool):
        return [np.bool_(value), np.array(value)]
    if isinstance(value, int):
        return [np.int64(value), np.int8(value), np.array(value, dtype="int32")]
    if isinstance(value, float):
        same = [np.float32(value)] if float(np.float32(value)) == value else []
        return [np.float64(value), np.array(value), *same]
    if isinstance(value, tuple):
        return [
            tuple(parts) for parts in zip(*[numpy_kinds(part)[:2] for part in value], strict=True)
        ]
    return []


def variants(options):
    """Yield the options with one at a time as a NumPy number, and with all of them."""
    for name, value in options.items():
        for other in numpy_kinds(value):
            yield {**options, name: other}
    yield {name: (numpy_kinds(value) or [value])[0] for name, value in options.items()}


def map_of(kernel):
    return lambda **options: CKNLayer(1, 3, 3, kernel=kernel(**options), dtype="float32", rng=0)


KERNELS = {
    "Exponential": (kernels.Exponential, {"sigma": 0.5, "trained": False}),
    "Exponential trained": (kernels.Exponential, {"sigma": 0.7, "trained": True}),
    "of_alpha": (kernels.Exponential.of_alpha, {"alpha": 3.5}),
    "Matern": (kernels.Matern, {"nu": 1.5, "length_scale": 0.8}),
    "Polynomial": (kernels.Polynomial, {"degree": 3}),
    "InnerPolynomial": (kernels.InnerPolynomial, {"c": 0.3, "degree": 3}),
    "PowerSeries": (lambda **k: kernels.PowerSeries(tuple(k.values())), {"a": 0.5, "b": 0.25}),
    "Sum": (lambda a, b: a * kernels.Exponential(0.5) + kernels.Linear() * b, {"a": 0.3, "b": 0.6}),
    "Product": (lambda s, d: kernels.Exponential(s) * kernels.Polynomial(d), {"s": 0.3, "d": 2}),
}
LAYERS = {
    **{f"kernel {name}": (map_of(kernel), options) for name, (kernel, options) in KERNELS.items()},
    "CKNLayer": (
        lambda **k: CKNLayer(rng=0, **k),
        {
            "in_channels": 1,
            "n_filters": 4,
            "kernel_size": (3, 2),
            "subsampling": 1.5,
            "padding": 1,
            "groups": 1,
        }
        | {"dilation": (1, 1), "center": False, "eps": 0.01},
    ),
    "CKNLayer pair": (
        lambda **k: CKNLayer(1, 4, 3, rng=0, **k),
        {"subsampling": (2.0, 1.5), "center": True},
    ),
    "ConvLayer": (
        lambda **k: ConvLayer(rng=0, **k),
        {"in_channels": 1, "n_filters": 4, "kernel_size": 3, "subsampling": 2, "padding": (1, 1)},
    ),
    "Conv2d": (
        lambda **k: nn.Conv2d(rng=0, **k),
        {
            "in_channels": 1,
            "out_channels": 2,
            "kernel_size": 3,
            "stride": (2, 1),
            "padding": 1,
            "bias": True,
        },
    ),
    "GaussianPool2d": (nn.GaussianPool2d, {"subsampling": 1.5}),
    "MaxPool2d": (nn.MaxPool2d, {"kernel_size": 2, "stride": 1}),
    "AvgPool2d": (nn.AvgPool2d, {"kernel_size": (2, 2)}),
    "ConvLayer of arrays": (
        lambda **k: ConvLayer(
            1,
            4,
            np.array([3, 3]),
            padding=np.array([1, 1]),
            subsampling=np.array([2, 2]),
            rng=0,
            **k,
        ),
        {},
    ),
    "CKNLayer of arrays": (
        lambda **k: CKNLayer(
            1,
            4,
            np.array([3, 3]),
            padding=np.array([1, 1]),
            subsampling=np.array([2, 2]),
            rng=0,
            **k,
        ),
        {},
    ),
    "local_whitening": (
        lambda **k: make_preprocessor({"name": "local_whitening", **k}),
        {"eps": 0.01},
    ),
}


@pytest.mark.parametrize(("make", "options"), LAYERS.values(), ids=LAYERS)
def test_layers_have_the_bits_of_python_numbers(make, options):
    expected = make(**options)
    output = expected(x)
    for other in variants(options):
        layer = make(**other)
        result = layer(x)
        assert result.dtype == output.dtype == "float32", other
        assert np.array_equal(
            np.asarray(getattr(result, "data", result)), np.asarray(getattr(output, "data", output))
        )
        if hasattr(layer, "config"):
            assert json.dumps(layer.config()) == json.dumps(expected.config())


@pytest.mark.parametrize(("make", "options"), KERNELS.values(), ids=KERNELS)
def test_kernels_are_equal_and_keep_float32(make, options):
    u = np.linspace(-1, 1, 5, dtype="float32")
    for other in variants(options):
        kernel = make(**other)
        assert kernel == make(**options)
        assert repr(kernel) == repr(make(**options))
        assert np.asarray(kernel.kappa(u)).dtype == "float32"
        assert json.loads(json.dumps(kernel.config())) == kernel.config()


def test_every_kernel_with_parameters_is_in_the_table():
    made = {type(make(**options)) for make, options in KERNELS.values()}
    with_fields = {
        kind
        for kind in vars(kernels).values()
        if inspect.isclass(kind)
        and issubclass(kind, Kernel)
        and getattr(kind, "__dataclass_fields__", None)
    }
    assert with_fields <= made


def test_kernels_of_users_too():
    from dataclasses import dataclass

    @dataclass(frozen=True)
    class Cubic(Kernel):
        share: float = 0.5

        def kappa(self, u):
            return self.share * u + (1 - self.share) * u**3

    layer = CKNLayer(1, 3, 3, kernel=Cubic(np.float64(0.25)), rng=0)
    assert layer(x).dtype == "float32"
    assert type(Cubic(share=np.array(0.25)).share) is float
    assert type(replace(Cubic(), share=np.float32(0.25)).share) is float


NETWORK = {"in_channels": 1, "image_size": (6, 6), "n_classes": 2}


@pytest.mark.parametrize("kind", [CKN, CNN])
def test_networks_fit_save_and_load(kind, tmp_path):
    layer = {CKN: CKNLayer, CNN: ConvLayer}[kind]
    for options in variants(NETWORK):
        model = kind(**options, layers=[layer(1, 4, 3, subsampling=2, rng=0)], rng=0)
        save_model(model, tmp_path / "m.safetensors")
        again = load_model(tmp_path / "m.safetensors")
        assert (
            again.config()
            == kind(**NETWORK, layers=[layer(1, 4, 3, subsampling=2, rng=0)]).config()
        )
        assert np.array_equal(again.scores(x), model.eval().scores(x))


def fitted(descent, **options):
    model = CKN(1, 6, 2, [CKNLayer(1, 4, 3, subsampling=2, rng=0)], rng=0)
    model.fit(x, y, rng=0, descent=FineTuning(**descent) if descent else None, **options)
    return [tensor.data for _, tensor in model.named_tensors()]


@pytest.mark.parametrize("of", ["fit", "descent"])
def test_fits_give_the_same_bits(of):
    options = {"n_patches": 60, "iterations": 2, "l2": 0.01}
    descent = {
        "epochs": 1,
        "batch_size": 4,
        "lr": 0.01,
        "momentum": 0.5,
        "warmup": 0.5,
        "validation": 0.25,
        "l2": 1e-4,
    }
    expected = fitted(descent, **options)
    for other in variants(options if of == "fit" else descent):
        found = fitted(descent, **other) if of == "fit" else fitted(other, **options)
        assert all(
            np.array_equal(a, b) and a.dtype == b.dtype == "float32"
            for a, b in zip(found, expected, strict=True)
        )


def stepped(make, options):
    w = nn.Parameter(np.ones(3), dtype="float32")
    optimizer = make([w], **options)
    for _ in range(2):
        w.grad = Tensor(np.array([0.1, -0.2, 0.3], dtype="float32"))
        optimizer.step()
    return w.data


OPTIMIZERS = {
    "SGD": (optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}),
    "Adam": (optim.Adam, {"lr": 0.1, "betas": (0.9, 0.99), "eps": 1e-6, "weight_decay": 0.01}),
    "AdamW": (optim.AdamW, {"lr": 0.1, "weight_decay": 0.01}),
}


@pytest.mark.parametrize(("make", "options"), OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_optimisers_step_to_the_same_bits(make, options):
    expected = stepped(make, options)
    for other in variants(options):
        assert np.array_equal(stepped(make, other), expected)
        assert stepped(make, other).dtype == "float32"


def test_assigned_learning_rates():
    optimizer = optim.SGD([nn.Parameter([1.0])], lr=0.1)
    optimizer.lr = np.array(0.5)
    assert type(optimizer.lr) is float


def test_schedules_and_descents_hold_python_numbers():
    for made in (
        optim.StepDecay(np.int64(3), gamma=np.float32(0.5)),
        optim.CosineDecay(np.array(3)),
        FineTuning(epochs=np.int64(2), lr=np.array(0.1), patience=np.int8(3)),
    ):
        values = [getattr(made, name) for name in type(made).__dataclass_fields__]
        values = [value for value in values if value != ()]
        assert all(type(v) in (int, float, str, bool, type(None)) for v in values), made


FUNCTIONS = {
    "gaussian_pool2d": (lambda **k: ops.gaussian_pool2d(x, **k), {"subsampling": 1.5}),
    "clip": (lambda **k: ops.clip(x, **k), {"a_min": 0.25, "a_max": 0.5}),
    "inverse_sqrt": (lambda **k: ops.inverse_sqrt(np.eye(3, dtype="f4"), **k), {"eps": 0.25}),
    "kappa_polynomial": (lambda **k: ops.kappa_polynomial(x, **k), {"degree": 3}),
    "unfold": (lambda **k: ops.unfold(x, **k), {"kernel_size": (2, 2), "stride": 2, "padding": 1}),
    "sum": (lambda **k: ops.sum(x, **k), {"axis": 1, "keepdims": True}),
    "var": (lambda **k: ops.var(x, **k), {"axis": (0, 1), "ddof": 1}),
    "crop_flip": (lambda **k: crop_flip(x, np.random.default_rng(0), **k), {"padding": 1}),
    "kaiming": (lambda **k: nn.init.kaiming_normal((3, 4), rng=0, **k), {"gain": 1.5}),
    "normal": (lambda **k: nn.init.normal((3, 4), rng=0, **k), {"mean": 0.5, "std": 1.5}),
    "spherical_kmeans": (
        lambda **k: models.spherical_kmeans(x.reshape(12, 36), rng=0, **k).centroids,
        {"n_clusters": 3, "iterations": 2},
    ),
    "sample_patches": (
        lambda **k: models.sample_patches(x, CKNLayer(1, 4, 3, rng=0), rng=0, **k),
        {"n_patches": 9},
    ),
    "fit_linear": (
        lambda **k: models.fit_linear(x.reshape(12, 36), y, 2, rng=0, **k).weight,
        {"l2": 0.125, "iterations": 3},
    ),
    "kernel ridge": (
        lambda **k: (
            KernelRidgeClassifier(**k)
            .fit(kernels.Exponential(0.5)(x.reshape(12, 36)), y)
            .dual_coef_
        ),
        {"l2": 0.125},
    ),
}


@pytest.mark.parametrize(("call", "options"), FUNCTIONS.values(), ids=FUNCTIONS)
def test_functions_give_the_same_bits(call, options):
    expected = np.asarray(call(**options))
    for other in variants(options):
        found = np.asarray(call(**other))
        assert found.dtype == expected.dtype
        assert np.array_equal(found, expected), other


@pytest.mark.parametrize("scalar", [np.sqrt(2), np.array(2.0)[()]])
def test_operands_take_the_dtype_of_what_is_beside_them(scalar):
    single = np.ones(2, dtype="float32")
    assert (scalar * single).dtype == "float64"
    assert (scalar * Tensor(single)).dtype == "float32"
    assert (float(scalar) * Tensor(single)).dtype == "float32"


@given(st.one_of(st.integers(-100, 100), st.floats(allow_nan=False, width=32), st.booleans()))
def test_plain_has_the_value_and_a_type_of_python(value):
    for kind in numpy_kinds(value):
        assert plain(kind) == value
        assert type(plain(kind)) is type(value)
        assert plain([kind, (kind,), {"a": kind}]) == [value, (value,), {"a": value}]


def test_plain_leaves_everything_else_alone():
    array, layers = np.ones(2), [nn.ReLU()]
    assert plain(array) is array
    assert plain(layers) is layers
    t = Tensor(1.0)
    assert plain(t) is t


def test_the_decorator_keeps_name_documentation_and_signature():
    def function(a: int, *, b: float = 1.0) -> float:
        """Add."""
        return a + b

    decorated = plain_arguments(function)
    assert decorated.__doc__ == "Add."
    assert inspect.signature(decorated) == inspect.signature(function)
