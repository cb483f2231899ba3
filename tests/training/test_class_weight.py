import pytest

from tinygrad_ckn.data import Dataset, load_digits
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.training import options, train
from tinygrad_ckn.training.class_weight import check_class_weight, read_class_weight

CLASSES, NAMES = (3, 7, 8), ("ant", "bee", "a=b")


def test_names_stand_for_labels():
    assert read_class_weight("bee=2,a=b=0.5", CLASSES, NAMES) == {7: 2.0, 8: 0.5}
    assert read_class_weight("balanced", CLASSES, NAMES) == "balanced"
    assert read_class_weight(None, CLASSES, NAMES) is None


def test_unknown_names_are_named():
    with pytest.raises(ConfigError, match=r"expected names of the classes 'ant', .*, got 'cow'"):
        read_class_weight("ant=1,cow=2", CLASSES, NAMES)


@pytest.mark.parametrize(
    "text", ["even", "", "ant", "ant=", "ant=x", "ant=-1", "ant=nan", "a=1,a=2"]
)
def test_other_texts_are_refused_before_data_are_read(text):
    message = "train: argument class_weight expected balanced, or NAME=WEIGHT,NAME=WEIGHT"
    with pytest.raises(ConfigError, match=message):
        check_class_weight(text)
    with pytest.raises(ConfigError, match=message):
        options.resolve("digits", class_weight=text)


def test_a_training_weights_its_classes(tmp_path):
    digits = load_digits()
    names = tuple("zero one two three four five six seven eight nine".split())
    few = Dataset("few", digits.train.take(range(200)), digits.test.take(range(100)), 10, names)
    weight = "three=1e-4"
    result = train(few, out=tmp_path / "run", class_weight=weight, n_patches=2000, iterations=2)
    assert result.run.config["options"]["class_weight"] == weight
    # Without weights about as many are predicted as there are.
    assert result.confusion[:, 3].sum() < result.confusion[3].sum() - 2
