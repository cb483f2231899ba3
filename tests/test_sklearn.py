import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.estimator_checks import parametrize_with_checks

from tinygrad_ckn.data import load_digits
from tinygrad_ckn.errors import ConfigError, DataError, ShapeError
from tinygrad_ckn.models import CKN, CKNLayer, FineTuning, fit_linear, fit_ridge
from tinygrad_ckn.models.kernels import ArcCosine1, Exponential, Polynomial
from tinygrad_ckn.models.preprocessing.chain import PatchZCA
from tinygrad_ckn.sklearn import CKNClassifier, CKNRegressor, CKNTransformer, KernelNystroem

_TRAIN = load_digits().train
IMAGES, LABELS = _TRAIN.images[:200].reshape(200, -1), _TRAIN.labels[:200]
SMALL = {"image_shape": (8, 8), "n_filters": (6, 10), "n_patches": 2000}
estimators = pytest.mark.parametrize("estimator", [CKNTransformer, CKNClassifier, CKNRegressor])


@pytest.mark.filterwarnings("ignore:.* distinct patches for:sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings(
    "ignore:.* expected at most the .* rows of X:sklearn.exceptions.ConvergenceWarning"
)
@parametrize_with_checks(
    [CKNTransformer(), CKNClassifier(), CKNRegressor(), KernelNystroem()],
    expected_failed_checks=lambda estimator: {
        "check_sample_weight_equivalence_on_dense_data": "k-means draws patches at random, and "
        "what is held out to choose l2 is drawn at random",
    },
)
def test_scikit_learn_finds_nothing_amiss(estimator, check):
    check(estimator)


def features_of(estimator, layers: list[CKNLayer], images: np.ndarray) -> np.ndarray:
    """Return the features of a network with these layers and an estimator's filters."""
    for layer, learned in zip(layers, estimator.model_.layers, strict=True):
        layer.weight.data = learned.weight.data
    return CKN(images.shape[1], images.shape[2:], 2, layers).encode(images)


def test_features_are_those_of_the_network_that_the_parameters_say():
    ckn = CKNTransformer(
        image_shape=(8, 8),
        n_filters=(6, 10),
        kernel_size=(3, 2),
        subsampling=1.5,
        sigma=0.5,
        padding="valid",
        eps=1e-2,
        scale=False,
    )
    found = ckn.fit_transform(IMAGES)
    options = {
        "subsampling": 1.5,
        "kernel": Exponential(0.5),
        "padding": "valid",
        "eps": 1e-2,
        "dtype": "float32",
    }
    layers = [CKNLayer(1, 6, (3, 2), **options), CKNLayer(6, 10, (3, 2), **options)]
    np.testing.assert_array_equal(found, features_of(ckn, layers, IMAGES.reshape(-1, 1, 8, 8)))


def test_a_list_gives_each_layer_its_own():
    kernels = ["exponential", Polynomial(degree=3), "arccos1"]
    ckn = CKNTransformer(
        image_shape=(8, 8),
        n_filters=(4, 5, 6),
        kernel_size=[3, (1, 2), 1],
        subsampling=[2, 1, 1],
        kernel=kernels,
        sigma=0.7,
        padding=["same", "valid", 1],
        eps=[1e-3, 1e-2, 1e-1],
        scale=False,
    )
    found = ckn.fit_transform(IMAGES)
    layers = [
        CKNLayer(1, 4, 3, subsampling=2, kernel=Exponential(0.7), padding="same", eps=1e-3),
        CKNLayer(4, 5, (1, 2), kernel=Polynomial(degree=3), padding="valid", eps=1e-2),
        CKNLayer(5, 6, 1, kernel=ArcCosine1(), padding=1, eps=1e-1),
    ]
    np.testing.assert_array_equal(found, features_of(ckn, layers, IMAGES.reshape(-1, 1, 8, 8)))


def test_arrays_are_taken_for_lists():
    lists = {"image_shape": [8, 8], "n_filters": [4, 8], "kernel_size": [3, 2], "eps": [1e-3, 1e-2]}
    arrays = {name: np.array(value) for name, value in lists.items()}
    expected, found = (
        CKNTransformer(**options, n_patches=500).fit_transform(IMAGES)
        for options in (lists, arrays)
    )
    np.testing.assert_array_equal(found, expected)
    pairs = [
        CKNTransformer(n_filters=[4, 8], kernel_size=kind([[3, 2], [1, 1]]))
        for kind in (list, np.array)
    ]
    for ckn in pairs:
        ckn.set_params(image_shape=(8, 8), n_patches=500)
    np.testing.assert_array_equal(*(ckn.fit_transform(IMAGES) for ckn in pairs))


def test_filters_are_those_that_the_network_learns_by_itself():
    ckn = CKNTransformer(**SMALL, iterations=3, random_state=7).fit(IMAGES)
    # what scikit-learn's random_state means
    seed = np.random.RandomState(7).randint(2**31 - 1)
    layers = [CKNLayer(1, 6, 3, subsampling=2), CKNLayer(6, 10, 3, subsampling=2)]
    model = CKN(1, 8, 2, layers)
    model.fit_unsupervised(IMAGES.reshape(-1, 1, 8, 8), n_patches=2000, iterations=3, rng=seed)
    for layer, learned in zip(layers, ckn.model_.layers, strict=True):
        np.testing.assert_array_equal(layer.weight.data, learned.weight.data)


@pytest.mark.parametrize("mirror_average", [None, "features"])
def test_images_are_preprocessed_and_mirrored_as_the_network_does(mirror_average: str | None):
    zca = PatchZCA(3)
    ckn = clone(
        CKNTransformer(
            **SMALL,
            preprocessing=[zca, "gradient_map"],
            mirror_average=mirror_average,
            random_state=7,
            scale=False,
        )
    )
    found = ckn.fit(IMAGES).transform(IMAGES)
    with pytest.raises(ConfigError, match="fit"):
        # what was passed stays as it was
        ckn.preprocessing[0](IMAGES.reshape(-1, 1, 8, 8))
    seed = np.random.RandomState(7).randint(2**31 - 1)
    channels = ckn.model_._prepared_shape[0]
    assert channels > 1
    layers = [CKNLayer(channels, 6, 3, subsampling=2), CKNLayer(6, 10, 3, subsampling=2)]
    model = CKN(
        1, 8, 2, layers, preprocessing=[PatchZCA(3), "gradient_map"], mirror_average=mirror_average
    )
    model.fit_unsupervised(IMAGES.reshape(-1, 1, 8, 8), n_patches=2000, rng=seed)
    np.testing.assert_array_equal(found, model.encode(IMAGES.reshape(-1, 1, 8, 8)))


def test_a_preset_overrides_what_else_is_said_of_layers():
    ckn = CKNTransformer(
        image_shape=(8, 8), preset="unsup-32-64", n_filters=3, sigma=9, eps=9, n_patches=5000
    )
    ckn.fit(IMAGES)
    published = CKN.preset("unsup-32-64", in_channels=1, image_size=8, n_classes=2)
    assert ckn.model_.config() == published.config()


def test_rows_are_images_of_the_shape_that_is_said():
    colour = np.random.default_rng(0).normal(size=(20, 3, 4, 6))
    ckn = CKNTransformer(image_shape=(3, 4, 6), n_filters=5, kernel_size=2, scale=False)
    found = ckn.fit_transform(colour.reshape(20, -1))
    layer = CKNLayer(3, 5, 2, subsampling=2, dtype="float64")
    np.testing.assert_array_equal(found, features_of(ckn, [layer], colour))


def test_without_a_shape_rows_are_signals_and_kernels_are_cut_to_them():
    signals = np.random.default_rng(0).normal(size=(30, 6))
    ckn = CKNTransformer(n_filters=(4, 5), kernel_size=4).fit(signals)
    assert [layer.kernel_size for layer in ckn.model_.layers] == [(1, 4), (1, 3)]
    assert ckn.transform(signals).shape == (30, 5 * 2)


@pytest.mark.parametrize("shape", [(8, 7), (2, 8, 8), (64,), 64, (1, 1, 8, 8), (8.0, 8), (-8, -8)])
def test_a_shape_that_does_not_fit_is_refused(shape):
    with pytest.raises(
        ShapeError, match=r"CKNTransformer: argument image_shape expected .* the product 64, .* got"
    ):
        CKNTransformer(image_shape=shape).fit(IMAGES)


def test_layers_have_no_more_filters_than_there_are_patches():
    # two directions
    x = np.repeat([[1.0], [-2.0]], 20, axis=0)
    with pytest.warns(ConvergenceWarning) as warnings:
        ckn = CKNTransformer(n_filters=(5, 7)).fit(x)
    assert [str(w.message).split(",")[0] for w in warnings] == [
        "CKNTransformer: layer 1 expected at least 5 distinct patches for 5 filters",
        "CKNTransformer: layer 2 expected at least 7 distinct patches for 7 filters",
    ]
    assert "got fewer and has 2 filters; use fewer filters" in str(warnings[0].message)
    assert [layer.n_filters for layer in ckn.model_.layers] == [2, 2]
    np.testing.assert_allclose(np.sort(ckn.model_.layers[0].weight.data.ravel()), [-1, 1])
    assert len(np.unique(ckn.transform(x).round(6), axis=0)) == 2


@pytest.mark.parametrize("supervised", [False, True])
def test_a_classifier_makes_do_with_few_patches_too(supervised: bool):
    x = np.repeat([[1.0], [-2.0]], 20, axis=0)
    with pytest.warns(ConvergenceWarning, match="CKNClassifier: layer [12] expected"):
        ckn = CKNClassifier(n_filters=(5, 7), supervised=supervised, epochs=1).fit(x, x[:, 0] > 0)
    assert ckn.score(x, x[:, 0] > 0) == 1


def test_rows_that_are_all_0_have_no_patches():
    with pytest.raises(DataError, match="distinct nonzero points for 6 clusters, got 0"):
        CKNTransformer(**SMALL).fit(np.zeros((5, 64)))


def test_the_seed_fixes_every_bit():
    def features(state):
        return CKNTransformer(**SMALL, random_state=state).fit_transform(IMAGES)

    first = features(3)
    np.testing.assert_array_equal(features(3), first)
    np.testing.assert_array_equal(features(np.random.RandomState(3)), first)
    assert not np.array_equal(features(4), first)
    assert not np.array_equal(features(None), features(None))
    np.testing.assert_array_equal(CKNTransformer(**SMALL).fit_transform(IMAGES), features(0))


@pytest.mark.parametrize("given", ["float32", "float64"])
def test_the_network_has_the_dtype_of_x_or_the_one_that_is_said(given: str):
    x = IMAGES.astype(given)
    assert CKNTransformer(**SMALL).fit_transform(x).dtype == given
    assert CKNTransformer(**SMALL).fit_transform((255 * x).astype("int64")).dtype == "float64"
    for said in ("float32", "float64"):
        ckn = CKNTransformer(**SMALL, dtype=said).fit(x)
        assert ckn.transform(x).dtype == ckn.transform(IMAGES).dtype == said


@pytest.mark.parametrize("given", ["float32", "float64"])
@pytest.mark.parametrize("size", [1e-3, 1.0, 255.0])
def test_features_have_mean_0_variance_1_on_average_and_distances_of_the_kernel(
    given: str, size: float
):
    x = (size * IMAGES).astype(given)
    plain = CKNTransformer(**SMALL, scale=False).fit(x)
    scaled = CKNTransformer(**SMALL).fit(x)
    features, found = plain.transform(x).astype("float64"), scaled.transform(x)
    assert (plain.mean_, plain.scale_) == (None, 1)
    np.testing.assert_array_equal(features, plain.model_.encode(x.reshape(-1, 1, 8, 8)))
    np.testing.assert_array_equal(CKNTransformer(**SMALL).fit_transform(x), found)
    assert found.dtype == given
    tolerance = {"atol": 1e-4 if given == "float32" else 1e-12}
    np.testing.assert_allclose(
        found, (features - features.mean(axis=0)) / scaled.scale_, **tolerance
    )
    np.testing.assert_allclose(found.mean(axis=0, dtype="float64"), 0, **tolerance)
    np.testing.assert_allclose(found.var(axis=0, dtype="float64").mean(), 1, **tolerance)
    # are scaled as X was
    others = x[:3] / 2
    np.testing.assert_allclose(
        scaled.transform(others) * scaled.scale_ + scaled.mean_, plain.transform(others), rtol=1e-4
    )


def test_features_that_are_all_alike_are_not_scaled():
    for x in (
        np.tile(IMAGES[:1], (30, 1)),
        IMAGES[:1],
        np.tile(IMAGES[:1].astype("float64") / 7, (23, 1)),
    ):
        with pytest.warns(ConvergenceWarning, match="distinct patches"):
            ckn = CKNTransformer(image_shape=(8, 8), n_filters=60).fit(x)
        assert ckn.scale_ == 1


@pytest.mark.parametrize("seed", range(3))
def test_features_suit_a_linear_model_as_it_comes(seed: int):
    digits = load_digits()
    (x, y), (new, labels) = (
        (s.images.reshape(-1, 64), s.labels) for s in (digits.train, digits.test)
    )
    ckn = CKNTransformer(image_shape=(8, 8), n_patches=20_000, random_state=seed)
    assert (
        make_pipeline(ckn, LogisticRegression(max_iter=1000)).fit(x, y).score(new, labels) >= 0.985
    )
    assert make_pipeline(ckn, LinearSVC()).fit(x, y).score(new, labels) >= 0.985


@pytest.mark.parametrize(
    "kernel", [Exponential(1.0), Polynomial(degree=3), 0.5 * Exponential(1.0) + 0.5 * ArcCosine1()]
)
def test_nystrom_features_are_those_of_scikit_learn(kernel):
    x = IMAGES.astype("float64")
    ours = KernelNystroem(kernel, n_components=20, random_state=3).fit(x[:150])
    theirs = Nystroem(kernel, n_components=20, random_state=3).fit(x[:150])
    np.testing.assert_array_equal(ours.component_indices_, theirs.component_indices_)
    np.testing.assert_array_equal(ours.components_, theirs.components_)
    np.testing.assert_allclose(ours.normalization_, theirs.normalization_, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(ours.transform(x), theirs.transform(x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("given", ["float32", "float64"])
def test_nystrom_features_of_all_rows_give_the_kernel_even_where_rows_repeat(given: str):
    x = np.concatenate([IMAGES[:40], IMAGES[:40], 2 * IMAGES[:5], np.zeros((1, 64))]).astype(given)
    gram = Exponential(1.0)(x.astype("float64"))
    features = KernelNystroem(Exponential(1.0), n_components=86).fit_transform(x)
    assert features.dtype == given
    tolerance = 20 * np.finfo(given).eps ** 0.5 * gram.max()
    np.testing.assert_allclose(
        features.astype("float64") @ features.T.astype("float64"), gram, atol=tolerance
    )


def test_a_gram_matrix_is_computed_as_a_whole_not_pair_by_pair():
    calls = []

    class Counting(Exponential):
        def __call__(self, x, y=None):
            calls.append(x.shape)
            return super().__call__(x, y)

    KernelNystroem(Counting(1.0), n_components=30).fit_transform(IMAGES)
    assert calls == [(30, 64), (200, 64)]


def test_of_fewer_rows_than_components_all_are_taken():
    with pytest.warns(
        ConvergenceWarning,
        match=r"n_components expected at most the 7 rows of X, got 100, and has 7",
    ):
        assert KernelNystroem().fit_transform(IMAGES[:7]).shape == (7, 7)
    for options, sentence in (
        ({"n_components": 0}, "argument n_components expected an integer >= 1, got 0"),
        ({"kernel": "rbf"}, "kernel: expected a Kernel or one of the names .*, got 'rbf'"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            KernelNystroem(**options).fit(IMAGES)
    with pytest.raises(ConfigError, match="argument scale expected True or False, got 'yes'"):
        CKNTransformer(**SMALL, scale="yes").fit(IMAGES)


def test_columns_out_have_names():
    ckn = CKNTransformer(**SMALL).fit(IMAGES)
    names = ckn.get_feature_names_out()
    assert len(names) == ckn.transform(IMAGES).shape[1] == 10 * 2 * 2
    assert (names[0], names[-1]) == ("ckntransformer0", "ckntransformer39")


def test_features_come_as_a_frame_where_that_is_asked_for():
    ckn = CKNTransformer(**SMALL).set_output(transform="pandas")
    frame = ckn.fit_transform(pandas.DataFrame(IMAGES, index=range(7, 207)))
    assert list(frame.columns) == list(ckn.get_feature_names_out())
    assert list(frame.index) == list(range(7, 207))
    np.testing.assert_array_equal(frame, CKNTransformer(**SMALL).fit_transform(IMAGES))


@estimators
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"dtype": "int32"}, "argument dtype expected 'float32', 'float64' or None, got 'int32'"),
        ({"n_patches": 1e5}, "argument n_patches expected an integer >= 1, got 100000.0"),
        ({"n_filters": (4, 0)}, "argument n_filters expected an integer >= 1, got 0"),
        ({"n_filters": "many"}, "argument n_filters expected an integer >= 1, got 'm'"),
        (
            {"n_filters": (4, 4), "eps": [1e-3]},
            "argument eps expected one value, or a list of 2, .* got a list of 1",
        ),
        ({"preset": "ckn6"}, "expected one of .*, got 'ckn6'"),
        ({"preset": "cnn5"}, "argument preset expected one of a CKN, got 'cnn5'"),
        ({"preprocessing": "zca"}, "expected a Preprocessor, .* local_whitening, .* got 'zca'"),
        (
            {"mirror_average": "both"},
            "argument mirror_average expected 'features', 'scores' or None, got 'both'",
        ),
        ({"sigma": 0}, "argument sigma expected a finite number > 0, got 0"),
    ],
    ids=str,
)
def test_parameters_out_of_range_are_refused_when_fitting(estimator, options, sentence):
    with pytest.raises(ConfigError, match=sentence):
        estimator(**({"image_shape": (8, 8)} | options)).fit(IMAGES, LABELS)


def test_labels_may_be_words():
    words = np.array(
        ["zero one two three four five six seven eight nine".split()[i] for i in LABELS]
    )
    ckn = CKNClassifier(**SMALL).fit(IMAGES, words)
    numbers = CKNClassifier(**SMALL).fit(IMAGES, LABELS)
    assert list(ckn.classes_) == sorted(set(words))
    assert ckn.score(IMAGES, words) > 0.95
    assert numbers.score(IMAGES, LABELS) > 0.95
    np.testing.assert_array_equal(
        ckn.predict(IMAGES), ckn.classes_[ckn.decision_function(IMAGES).argmax(axis=1)]
    )


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_hinge"])
def test_the_classifier_is_fitted_to_the_features(loss: str):
    ckn = CKNClassifier(**SMALL, loss=loss, l2=1e-3, dtype="float64").fit(IMAGES, LABELS)
    transformer = CKNTransformer(**SMALL, dtype="float64").fit(IMAGES)
    fit = fit_linear(transformer.transform(IMAGES), LABELS, 10, loss=loss, l2=1e-3)
    scores = transformer.transform(IMAGES) @ fit.weight.T + fit.bias
    np.testing.assert_allclose(ckn.decision_function(IMAGES), scores, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_hinge"])
def test_probabilities_are_those_of_the_network_for_each_loss(loss: str):
    ckn = CKNClassifier(**SMALL, loss=loss).fit(IMAGES, LABELS)
    p = ckn.predict_proba(IMAGES)
    images = IMAGES.reshape(-1, 1, 8, 8)
    np.testing.assert_array_equal(p, ckn.model_.predict_proba(images))
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_array_equal(ckn.classes_[p.argmax(axis=1)], ckn.predict(IMAGES))


def test_weights_of_classes_go_by_label_and_rows_of_weight_0_are_left_out():
    words = np.where(LABELS > 6, "many", "few")
    plain = CKNClassifier(**SMALL, l2=1e-2).fit(IMAGES, words)
    weighted = CKNClassifier(**SMALL, l2=1e-2, class_weight={"few": 1e-3}).fit(IMAGES, words)
    assert (weighted.predict(IMAGES) == "few").sum() < (plain.predict(IMAGES) == "few").sum()
    rows = np.arange(200) % 5 > 0
    left_out = CKNClassifier(**SMALL).fit(IMAGES, words, sample_weight=rows)
    without = CKNClassifier(**SMALL).fit(IMAGES[rows], words[rows])
    np.testing.assert_array_equal(left_out.predict_proba(IMAGES), without.predict_proba(IMAGES))


def test_balanced_weights_are_those_of_scikit_learn():
    ckn = CKNClassifier(**SMALL, l2=1e-3, class_weight="balanced").fit(IMAGES, LABELS > 6)
    weights = compute_sample_weight("balanced", LABELS > 6)
    same = CKNClassifier(**SMALL, l2=1e-3).fit(IMAGES, LABELS > 6, sample_weight=weights)
    np.testing.assert_allclose(
        ckn.decision_function(IMAGES), same.decision_function(IMAGES), rtol=1e-4, atol=1e-4
    )


def test_of_two_classes_the_decision_is_the_logarithm_of_the_odds():
    ckn = CKNClassifier(**SMALL).fit(IMAGES, LABELS % 2)
    odds = ckn.decision_function(IMAGES) / ckn.model_.temperature
    probabilities = ckn.predict_proba(IMAGES)
    assert odds.shape == (200,)
    np.testing.assert_allclose(
        probabilities[:, 1], 1 / (1 + np.exp(-odds.astype("float64"))), rtol=1e-4
    )
    np.testing.assert_array_equal(ckn.predict(IMAGES), odds > 0)


def test_filters_learn_from_labels_where_that_is_said():
    plain = CKNClassifier(**SMALL).fit(IMAGES, LABELS)
    still = CKNClassifier(**SMALL, supervised=True, epochs=0).fit(IMAGES, LABELS)
    moved = CKNClassifier(
        **SMALL, supervised=True, epochs=2, batch_size=50, lr=0.1, validation=0
    ).fit(IMAGES, LABELS)
    for a, b, c in zip(plain.model_.layers, still.model_.layers, moved.model_.layers, strict=True):
        np.testing.assert_array_equal(a.weight.data, b.weight.data)
        assert np.abs(a.weight.data - c.weight.data).max() > 1e-3
    assert moved.score(IMAGES, LABELS) > 0.95


@pytest.mark.parametrize(("loss", "l2"), [("cross_entropy", None), ("squared_hinge", 1e-2)])
@pytest.mark.filterwarnings("ignore::tinygrad_ckn.errors.TrainingWarning")
def test_supervised_learning_is_that_of_the_network(loss: str, l2: float | None):
    options = {"epochs": 1, "batch_size": 50, "lr": 0.1, "clip_norm": 1.0, "ema": 0.5, "mixup": 0.2}
    if loss == "cross_entropy":
        options["label_smoothing"] = 0.1
    groups = np.arange(200) // 4
    ckn = CKNClassifier(**SMALL, supervised=True, loss=loss, l2=l2, random_state=7, **options).fit(
        IMAGES, LABELS, groups=[f"subject {i:02}" for i in groups]
    )
    seed = np.random.RandomState(7).randint(2**31 - 1)
    model = CKN(1, 8, 10, [CKNLayer(1, 6, 3, subsampling=2), CKNLayer(6, 10, 3, subsampling=2)])
    descent = FineTuning(**options)
    model.fit(
        IMAGES.reshape(-1, 1, 8, 8),
        LABELS,
        descent=descent,
        loss=loss,
        l2=l2,
        groups=groups,
        n_patches=2000,
        rng=seed,
    )
    for layer, learned in zip(model.layers, ckn.model_.layers, strict=True):
        np.testing.assert_array_equal(learned.weight.data, layer.weight.data)
    np.testing.assert_array_equal(model.classifier.weight.data, ckn.model_.classifier.weight.data)


def test_the_l2_that_is_said_is_that_of_the_classifier_at_the_end():
    ckn = CKNClassifier(**SMALL, supervised=True, epochs=1, l2=1e-2, dtype="float64").fit(
        IMAGES, LABELS
    )
    features = ckn.model_.encode(IMAGES.reshape(-1, 1, 8, 8).astype("float64"))
    fit = fit_linear(features, LABELS, 10, l2=1e-2)
    np.testing.assert_allclose(ckn.model_.classifier.weight.data, fit.weight, rtol=1e-9, atol=1e-12)


def test_one_class_is_not_enough():
    message = r"CKNClassifier: argument y expected labels of 2 classes or more, got 1 class, 5; add"
    with pytest.raises(DataError, match=message):
        CKNClassifier(**SMALL).fit(IMAGES, np.full(200, 5))


@pytest.mark.parametrize("columns", [None, 1, 2])
def test_the_regression_is_scikit_learns_ridge_on_the_features(columns: int | None):
    targets = np.stack([LABELS, IMAGES.sum(axis=1)], axis=1).astype("float64")
    y = targets[:, 0] if columns is None else targets[:, :columns]
    options = SMALL | {"subsampling": 2, "dtype": "float64"}
    ckn = CKNRegressor(**options, l2=1e-3).fit(IMAGES, y)
    features = CKNTransformer(**options).fit_transform(IMAGES)
    scale = ((features - features.mean(axis=0)) ** 2).sum() / 200
    expected = Ridge(alpha=200 * 1e-3 * scale, solver="svd").fit(features, y)
    found = ckn.predict(IMAGES)
    assert found.shape == y.shape
    np.testing.assert_allclose(
        found, expected.predict(features).reshape(y.shape), rtol=1e-8, atol=1e-8
    )


def test_weights_of_rows_are_those_of_the_regression():
    ckn = CKNRegressor(**SMALL, l2=1e-3, dtype="float64")
    targets, weights = LABELS.astype("float64"), np.arange(200) % 7
    ckn.fit(IMAGES, targets, sample_weight=weights)
    rows = weights > 0
    unweighted = clone(ckn).fit(IMAGES[rows], targets[rows])
    for layer, other in zip(ckn.model_.layers, unweighted.model_.layers, strict=True):
        np.testing.assert_array_equal(layer.weight.data, other.weight.data)
    features = ckn.model_.encode(IMAGES.reshape(-1, 1, 8, 8).astype("float64"))
    fit = fit_ridge(features, targets, l2=1e-3, sample_weight=weights)
    np.testing.assert_allclose(ckn.head_.weight, fit.weight, rtol=1e-8, atol=1e-8)
    assert np.abs(ckn.head_.weight - unweighted.head_.weight).max() > 1e-3


def test_the_regression_chooses_its_l2():
    ckn = CKNRegressor(**SMALL).fit(IMAGES, IMAGES.sum(axis=1))
    assert ckn.head_.held_out[ckn.head_.l2] == min(ckn.head_.held_out.values())
    assert ckn.score(IMAGES, IMAGES.sum(axis=1)) > 0.95


def test_a_search_over_sigma_in_a_pipeline_runs():
    pipeline = make_pipeline(StandardScaler(), CKNClassifier(**SMALL))
    search = GridSearchCV(pipeline, {"cknclassifier__sigma": [0.05, 0.6]}, cv=4).fit(IMAGES, LABELS)
    sigmas = search.cv_results_["param_cknclassifier__sigma"]
    best = search.best_estimator_.named_steps["cknclassifier"]
    assert list(sigmas) == [0.05, 0.6]
    assert best.model_.layers[0].kernel == Exponential(search.best_params_["cknclassifier__sigma"])
    assert len(set(search.cv_results_["mean_test_score"])) == 2
    assert search.best_score_ > 0.7


def test_without_scikit_learn_one_sentence_says_what_to_install():
    code = (
        "import sys; sys.modules['sklearn'] = None\n"
        "try: import tinygrad_ckn.sklearn\n"
        "except ImportError as e: print(e)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    ).stdout
    assert done.startswith(
        "tinygrad_ckn.sklearn: expected scikit-learn 1.6 or later, which does not import; "
    )
    assert "pip install -e '.[sklearn]' in a checkout of tinygrad-ckn" in done


def test_columns_with_the_channels_last_are_read_as_such_or_refused():
    rng = np.random.default_rng(0)
    images = rng.random((30, 3, 6, 5), dtype=np.float32)
    planes, interleaved = images.reshape(30, -1), images.transpose(0, 2, 3, 1).reshape(30, -1)
    small = {"n_filters": 4, "n_patches": 200, "iterations": 2}
    expected = CKNTransformer(image_shape=(3, 6, 5), **small).fit_transform(planes)
    told = CKNTransformer(image_shape=(3, 6, 5), channels_last=True, **small).fit_transform(
        interleaved
    )
    np.testing.assert_array_equal(told, expected)
    with pytest.raises(
        ShapeError,
        match=r"got \(6, 5, 3\), which looks like \(H, W, C\); pass image_shape=\(3, 6, 5\)",
    ):
        CKNTransformer(image_shape=(6, 5, 3), **small).fit(interleaved)
    assert (
        CKNTransformer(image_shape=(6, 5, 3), channels_last=False, **small)
        .fit(planes)
        .model_.in_channels
        == 6
    )


def test_rows_of_another_scale_than_those_fitted_are_refused():
    digits = load_digits().train.images[:100].reshape(100, -1)
    ckn = CKNClassifier(image_shape=(8, 8), n_filters=8, n_patches=500, iterations=2)
    ckn.fit(digits, load_digits().train.labels[:100])
    assert ckn.predict(digits).shape == (100,)
    for factor in (255, 1 / 255):
        with pytest.raises(DataError, match="expected images scaled as the training images"):
            ckn.predict(digits * np.float32(factor))
