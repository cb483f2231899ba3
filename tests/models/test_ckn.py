import json
import math

import numpy as np
import pytest

from tinygrad_ckn import Tensor, ops
from tinygrad_ckn.errors import ConfigError, DataError, DTypeError, ShapeError
from tinygrad_ckn.models import CKN, CKNLayer
from tinygrad_ckn.models.kernels import Exponential, Polynomial
from tinygrad_ckn.nn import Module
from tinygrad_ckn.testing import check_module


def small(dtype: str = "float32", rng: int = 0, n_classes: int = 3) -> CKN:
    """Return a network of two layers for images (2, 7, 6), with 4 x 2 x 2 features."""
    layers = [
        CKNLayer(2, 3, 3, subsampling=2, kernel=Exponential(0.5), rng=rng + 1, dtype=dtype),
        CKNLayer(3, 4, 2, subsampling=2, kernel=Polynomial(2), rng=rng + 2, dtype=dtype),
    ]
    return CKN(2, (7, 6), n_classes, layers, rng=rng)


def images(n: int = 5, seed: int = 0, dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 2, 7, 6)).astype(dtype)


def test_features_are_the_last_map_flattened() -> None:
    model, x = small(), images()
    y = model.layers[1](model.layers[0](Tensor(x)))
    assert y.shape == (5, 4, 2, 2)
    np.testing.assert_array_equal(model.features(Tensor(x)).numpy(), y.numpy().reshape(5, 16))


def test_scores_are_the_classifier_on_the_features() -> None:
    model, x = small().eval(), images()
    model.classifier.bias.data = np.array([1, 2, 3], "float32")
    expected = model.encode(x) @ model.classifier.weight.numpy().T + [1, 2, 3]
    np.testing.assert_allclose(model(Tensor(x)).numpy(), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.scores(x), expected, rtol=1e-5, atol=1e-6)


def test_frozen_filters_need_no_graph_but_images_may() -> None:
    model = small("float64")
    for layer in model.layers:
        layer.weight.requires_grad = False
    assert not model.features(images(dtype="float64")).requires_grad
    assert model.features(Tensor(images(dtype="float64"), requires_grad=True)).requires_grad
    model.layers[1].weight.requires_grad = True
    assert model.features(images(dtype="float64")).requires_grad


class Unfused(Exponential):
    def fused(self) -> None:
        return None


def test_the_largest_map_is_counted_before_pooling_where_it_is_held_whole() -> None:
    for kernel, held in ((Exponential(), 50 * 2 * 1), (Unfused(), 50 * 4 * 3)):
        second = CKNLayer(2, 50, 2, padding="full", subsampling=3, kernel=kernel)
        assert (
            CKN(1, (5, 4), 2, [CKNLayer(1, 2, 1, subsampling=2), second])._largest_intermediate()
            == held
        )
    first = CKNLayer(1, 50, 1, subsampling=2, kernel=Unfused())
    assert CKN(1, (5, 4), 2, [first, CKNLayer(50, 2, 2)])._largest_intermediate() == 50 * 5 * 4


@pytest.mark.parametrize(
    "as_input", [np.asarray, Tensor, np.ndarray.tolist], ids=["array", "Tensor", "list"]
)
def test_arrays_tensors_and_lists_of_any_dtype_are_taken(as_input) -> None:
    model, x = small(), images(dtype="float64")
    given = as_input(x)
    np.testing.assert_array_equal(model.encode(given), model.encode(x.astype("float32")))
    assert model.encode(given).dtype == "float32"
    assert model.features(given).dtype == "float32"


def test_gradients_reach_float64_images_of_a_float32_model() -> None:
    x = Tensor(images(dtype="float64"), requires_grad=True)
    small()(x).sum().backward()
    assert x.grad.dtype == "float64"
    assert x.grad.numpy().any()


def test_no_images_have_no_features() -> None:
    assert small().encode(images(0)).shape == (0, 16)


def test_prediction_is_the_class_of_the_largest_score_and_accuracy_the_share_of_hits() -> None:
    model, x = small().eval(), images(40)
    scores = model(Tensor(x)).numpy()
    expected = np.array([max(range(3), key=lambda k, row=row: row[k]) for row in scores])
    predicted = model.predict(x)
    assert len(set(expected)) > 1
    np.testing.assert_array_equal(predicted, expected)
    labels = expected.copy()
    labels[:10] = (labels[:10] + 1) % 3
    assert model.accuracy(x, labels) == 0.75
    assert model.accuracy(Tensor(x), Tensor(labels)) == 0.75


class Loss(Module):
    """The training objective of a network."""

    def __init__(self, model: CKN, labels: np.ndarray) -> None:
        self.model = model
        self.labels = labels

    def forward(self, x: object) -> object:
        return ops.cross_entropy(self.model(x), self.labels)


def test_derivatives_of_the_loss_in_all_parameters_of_order_1_and_2() -> None:
    model = small("float64")
    report = check_module(Loss(model, np.array([0, 2, 1])), images(3, dtype="float64"), order=2)
    parameters = {
        "model.layers.0.weight",
        "model.layers.1.weight",
        "model.classifier.weight",
        "model.classifier.bias",
    }
    for order in (1, 2):
        assert {c.argument for c in report.comparisons if c.order == order} >= {"0"} | parameters


def test_config_is_json_from_which_a_network_of_the_same_outputs_is_made() -> None:
    model, x = small("float64").eval(), images(dtype="float64")
    twin = CKN.from_config(json.loads(json.dumps(model.config()))).eval()
    assert twin.config() == model.config()
    assert not np.allclose(twin.scores(x), model.scores(x))
    twin.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(twin.scores(x), model.scores(x))


@pytest.mark.parametrize("change", ["missing", "unknown", "not a list"])
def test_other_than_configs_are_refused(change: str) -> None:
    config = small().config()
    if change == "missing":
        del config["n_classes"]
    elif change == "unknown":
        config["layers"][0]["stride"] = 2
    else:
        config["layers"] = 3
    with pytest.raises(
        ConfigError,
        match=r"^CKN\.from_config: expected what config\(\) returns, got \{'model': 'CKN'",
    ):
        CKN.from_config(config)


def test_options_out_of_range_in_a_config_are_refused_by_name() -> None:
    config = small().config()
    config["layers"][0]["eps"] = -1
    with pytest.raises(
        ConfigError, match=r"^CKNLayer: argument eps expected a finite number > 0, got -1$"
    ):
        CKN.from_config(config)


def test_a_number_is_the_side_of_square_images() -> None:
    model = CKN(1, 5, 2, [CKNLayer(1, 2, 3)])
    assert model.image_size == (5, 5)
    assert model.classifier.in_features == 2 * 25


def test_the_seed_fixes_the_classifier() -> None:
    one, same, other = (
        CKN(1, 4, 2, [CKNLayer(1, 2, 3)], rng=seed).classifier.weight.numpy() for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.allclose(one, other)


@pytest.mark.parametrize(
    ("n_classes", "layers", "error", "message"),
    [
        (1, [(1, 2)], ConfigError, "argument n_classes expected an integer >= 2, got 1"),
        (2.0, [(1, 2)], ConfigError, r"argument n_classes expected an integer >= 2, got 2\.0"),
        (
            2,
            [],
            ConfigError,
            "argument layers expected at least one CKNLayer and nothing else, got",
        ),
        (
            2,
            [(3, 2)],
            ConfigError,
            r"layers\[0\] expected in_channels = 1, the channels before it, got 3",
        ),
        (
            2,
            [(1, 2), (3, 2)],
            ConfigError,
            r"layers\[1\] expected in_channels = 2, the channels before it, got 3",
        ),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    n_classes, layers, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^CKN: {message}"):
        CKN(1, 6, n_classes, [CKNLayer(c, p, 3) for c, p in layers])


def test_layers_too_large_for_the_maps_before_them_are_refused() -> None:
    layers = [CKNLayer(1, 2, 3, subsampling=4), CKNLayer(2, 2, 3, padding="valid")]
    with pytest.raises(
        ShapeError,
        match=r"expected an image of at least the kernel's extent \(3, 3\), got \(2, 2\)",
    ):
        CKN(1, 8, 2, layers)


@pytest.mark.parametrize(
    "shape", [(2, 7, 6), (1, 3, 7, 6), (1, 2, 6, 7), (1, 2, 7, 7), (1, 1, 2, 7, 6)]
)
@pytest.mark.parametrize(
    "method", ["__call__", "features", "encode", "predict", "fit_unsupervised"]
)
def test_images_of_another_size_are_refused(shape, method: str) -> None:
    expected = r"^CKN: argument images expected shape \(N, 2, 7, 6\), got "
    with pytest.raises(
        ShapeError, match=expected + str(shape).replace("(", r"\(").replace(")", r"\)")
    ):
        getattr(small(), method)(np.ones(shape))


@pytest.mark.parametrize("dtype", ["uint8", "int64"])
@pytest.mark.parametrize("method", ["__call__", "encode", "predict", "fit_unsupervised"])
def test_images_of_integers_are_refused(dtype: str, method: str) -> None:
    message = (
        f"^CKN: expected images of dtype float32 or float64, got {dtype}; divide them by 255, "
    )
    for given in (np.ones((3, 2, 7, 6), dtype), Tensor(np.ones((3, 2, 7, 6), dtype))):
        with pytest.raises(DTypeError, match=message):
            getattr(small(), method)(given)
    with pytest.raises(DTypeError, match=f"^CKNLayer: expected .*, got {dtype};"):
        small().layers[0](np.ones((3, 2, 7, 6), dtype))


@pytest.mark.parametrize("method", ["fit_classifier", "fit"])
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            np.array([0, 1, 2, 3]),
            r"argument labels: expected labels of 3 classes, or class numbers 0 \.\. 2, got 4 ",
        ),
        (
            np.array([-1, 5, -1, 5]),
            r"argument labels: expected labels of 3 classes, .*, got 2 different ones: -1, 5",
        ),
        (
            np.array([1, 1, 1, 1]),
            "argument labels expected two or more classes to train on, got class 1 alone; add",
        ),
        (
            np.array([0.0, 1.0, 2.5, 0.0]),
            r"argument labels: expected labels that are .*, got 2.5 at index 2",
        ),
        (
            np.array([True, False, True, False]),
            "argument labels: expected labels of 3 classes, .*: False, True",
        ),
        (np.array([0, 1, 2]), r"argument labels expected one for each of 4 images, n >= 1, got 3"),
        (["a", 1, "b", "a"], "argument labels: expected labels of one kind, .*, got 1 at index 1"),
        (
            ["a", None, "b", "a"],
            "argument labels: expected labels of one kind, .*, got None at index 1",
        ),
    ],
)
def test_labels_that_are_no_classes_are_refused_before_anything_is_learned(
    method: str, labels, message: str
) -> None:
    model = small()
    before = model.state_dict()
    with pytest.raises(DataError, match=f"^CKN: {message}"):
        getattr(model, method)(images(4), labels)
    assert all((before[name] == array).all() for name, array in model.state_dict().items())


@pytest.mark.parametrize("method", ["fit_unsupervised", "fit_classifier", "fit"])
def test_training_on_no_images_is_refused(method: str) -> None:
    arguments = (
        (images(0),) if method == "fit_unsupervised" else (images(0), np.zeros(0, dtype=int))
    )
    with pytest.raises(
        DataError, match=r"^CKN: expected at least one image to train on, got none$"
    ):
        getattr(small(), method)(*arguments)


@pytest.mark.parametrize(
    "as_labels", [np.asarray, Tensor, np.ndarray.tolist, lambda y: y.astype("uint8")]
)
def test_labels_may_be_arrays_tensors_or_lists(as_labels) -> None:
    x, labels = images(20), np.arange(20) % 3
    model, twin = small(), small()
    model.fit_classifier(x, labels, l2=1e-3)
    twin.fit_classifier(Tensor(x), as_labels(labels), l2=1e-3)
    np.testing.assert_array_equal(twin.classifier.weight.numpy(), model.classifier.weight.numpy())


def test_images_of_an_odd_side_give_the_sizes_of_fractional_subsampling() -> None:
    layers = [
        CKNLayer(1, 2, 3, subsampling=math.sqrt(2)),
        CKNLayer(2, 3, 3, subsampling=math.sqrt(2)),
    ]
    model = CKN(1, (9, 6), 2, layers)
    # floor(8 / sqrt 2) + 1 = 6, floor(5 / sqrt 2) + 1 = 4; then floor(5 / sqrt 2) + 1 =
    # 4, floor(3 / sqrt 2) + 1 = 3
    assert model.encode(np.ones((1, 1, 9, 6))).shape == (1, 3 * 4 * 3)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: CKN(1, (8, 8, 8), 2, [CKNLayer(1, 3, 3)]),
            ShapeError,
            "image_size expected an integer >= 1 or two",
        ),
        (
            lambda: CKN(1, 8, 2, CKNLayer(1, 3, 3)),
            ConfigError,
            "got one CKNLayer; put it in a list",
        ),
        (
            lambda: CKN(1, 8, 2, [3]),
            ConfigError,
            r"at least one CKNLayer and nothing else, got \[3\]",
        ),
        (
            lambda: CKN(1, 8, 2, [CKNLayer(1, 3, 3), CKNLayer(3, 3, 3, dtype="float64")]),
            ConfigError,
            "layers expected one dtype, got float32 and float64",
        ),
        (
            lambda: CKN.from_config([1, 2]),
            ConfigError,
            r"expected what config\(\) returns, got \[1, 2\]",
        ),
    ],
)
def test_arguments_of_another_kind_get_their_sentence(
    make: object, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make()


def test_numpy_integers_are_integers() -> None:
    assert CKN(
        np.int64(1), np.int64(6), np.int64(2), [CKNLayer(np.int64(1), np.int64(3), 3)]
    ).image_size == (6, 6)


def test_accuracy_wants_one_label_for_each_image() -> None:
    model = CKN(1, 6, 2, [CKNLayer(1, 3, 3)]).eval()
    images = np.ones((3, 1, 6, 6), dtype="float32")
    with pytest.raises(
        DataError, match="argument labels expected one for each of 3 images, n >= 1, got 2"
    ):
        model.accuracy(images, np.zeros(2, dtype=int))
    with pytest.raises(
        DataError, match="argument labels expected one for each of 0 images, n >= 1, got 0"
    ):
        model.accuracy(images[:0], np.zeros(0, dtype=int))
    with pytest.raises(
        DataError, match="argument labels: expected labels of the classes 0, 1, got 2 at index 1"
    ):
        model.accuracy(images, np.array([0, 2, 0]))
    assert model.accuracy(images, np.zeros((3, 1), dtype=int)) in (0.0, 1.0)
