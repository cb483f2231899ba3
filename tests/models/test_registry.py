"""Objects from names and configurations."""

from fractions import Fraction

import pytest

from tinygrad_ckn.models.registry import from_spec

CLASSES = {"complex": complex, "fraction": Fraction}


def test_a_name_gives_an_object_with_default_arguments() -> None:
    assert from_spec(CLASSES, "complex") == 0j


def test_a_mapping_gives_an_object_with_its_arguments() -> None:
    spec = {"name": "fraction", "numerator": 1, "denominator": 3}
    assert from_spec(CLASSES, spec) == Fraction(1, 3)
    assert spec["name"] == "fraction"


@pytest.mark.parametrize("spec", ["float", None, 3, {}, {"name": ["complex"]}, {"real": 1.0}])
def test_an_unknown_name_gives_none(spec: object) -> None:
    assert from_spec(CLASSES, spec) is None


def test_arguments_that_do_not_fit_give_none() -> None:
    assert from_spec(CLASSES, {"name": "complex", "norm": 1.0}) is None


def test_an_error_of_the_constructor_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        from_spec(CLASSES, {"name": "fraction", "numerator": 1, "denominator": 0})
