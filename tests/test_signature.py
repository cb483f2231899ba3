"""Signatures of users' own primitives: those that work, and one sentence for the others."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tinygrad_ckn import Tensor, ops
from tinygrad_ckn.backend import special
from tinygrad_ckn.errors import DTypeError, ShapeError
from tinygrad_ckn.primitive import REGISTRY, Array, primitive
from tinygrad_ckn.testing import gradcheck


@pytest.fixture(autouse=True)
def registry():
    before = dict(REGISTRY)
    yield
    REGISTRY.clear()
    REGISTRY.update(before)


@pytest.mark.parametrize(
    "annotation", [Array, Array | None, np.ndarray, NDArray[np.float64], Tensor, np.ndarray | None]
)
def test_annotations_that_make_an_operand(annotation):
    def planted(xp, x, power=2):
        return x**power

    planted.__annotations__ = {"x": annotation, "power": int}
    made = primitive(planted)
    made.vjp(x=lambda g, x, power: g * power * x ** (power - 1))
    assert made.operands == ("x",)
    t = Tensor([3.0], requires_grad=True)
    made(t).backward()
    assert t.grad.item() == 6


@pytest.mark.parametrize("head", ["from __future__ import annotations\n", ""])
@pytest.mark.parametrize(
    "hint", ["Array", "Array | None", "np.ndarray", "'Array'", "Unknown[Array]"]
)
def test_annotations_in_strings(head, hint):
    if not head and hint == "Unknown[Array]":
        pytest.skip("an error of Python's own")
    names = {"__name__": "somewhere"}
    code = "import numpy as np\nfrom tinygrad_ckn.primitive import Array, primitive\n"
    exec(f"{head}{code}@primitive\ndef f(xp, x: {hint}): return -x", names)
    assert names["f"].operands == ("x",)
    assert names["f"](np.ones(1)) == -1


def test_with_and_without_parentheses():
    @primitive
    def bare(xp, x: Array):
        return x

    @primitive()
    def called(xp, x: Array):
        return x

    assert bare.name == "bare"
    assert called.name == "called"


@pytest.mark.parametrize(
    ("code", "match"),
    [
        (
            "def f(x: Array): ...",
            r"namespace as the forward's first parameter, got \(x: Array\); "
            r"write def f\(xp, x: Array\)",
        ),
        (
            "def f(): ...",
            r"namespace as the forward's first parameter, got \(\); write def f\(xp, x: Array\)",
        ),
        (
            "def f(xp, x, y): ...",
            r"at least one parameter annotated Array, .* got \(xp, x, y\); write x: Array",
        ),
        (
            "def f(xp): ...",
            r"at least one parameter annotated Array, .* got \(xp\); write x: Array",
        ),
    ],
)
def test_signatures_that_cannot_be_get_one_sentence(code, match):
    names = {"Array": Array}
    exec(code, names)
    with pytest.raises(DTypeError, match=f"primitive f: expected .*{match}"):
        primitive(names["f"])


def test_a_rule_may_bind_values_by_defaults():
    @primitive
    def planted(xp, x: Array):
        return x * x

    for k in (3, 2):
        planted.vjp(x=lambda g, x, k=k: k * g * x)
    t = Tensor([3.0], requires_grad=True)
    planted(t).backward()
    assert t.grad.item() == 6
    planted.vjp(
        x=lambda g, x=None: 2 * g * x
    )  # a name that the primitive has is what it says, default or not
    t.grad = None
    planted(t).backward()
    assert t.grad.item() == 6


def test_an_attribute_error_of_the_forward_stays_one():
    @primitive
    def planted(xp, x: Array):
        return xp.erf(x)

    for x in (np.ones(2), Tensor([1.0])):
        with pytest.raises(AttributeError, match=r"^module 'numpy' has no attribute 'erf'"):
            planted(x)


def test_an_attribute_that_an_argument_lacks_is_the_callers_mistake():
    @primitive
    def planted(xp, x: Array, kappa=None):
        return kappa.scale * x

    with pytest.raises(DTypeError, match="planted: 'str' object has no attribute 'scale'; got x: "):
        planted(np.ones(2), "exponential")


def test_a_number_where_an_array_is_needed_is_named():
    x = Tensor(np.ones((2, 2)))
    for call in (lambda: ops.matmul(2, x), lambda: 2 @ x, lambda: np.matmul(2, x)):
        with pytest.raises(
            DTypeError,
            match=r"^matmul: argument a expected an array or a Tensor; got a: int 2, b: ",
        ):
            call()


def test_other_errors_of_the_forward_keep_their_kind_and_cause():
    @primitive
    def planted(xp, x: Array):
        return x.reshape(7)

    with pytest.raises(ShapeError, match="planted: cannot reshape") as caught:
        planted(np.ones(2))
    assert isinstance(caught.value.__cause__, ValueError)


def test_special_functions_that_numpy_lacks():
    @primitive
    def planted(xp, x: Array):
        return special(xp).erf(x)

    planted.vjp(x=lambda g, x: g * 2 / np.sqrt(np.pi) * ops.exp(-x * x))
    gradcheck(planted, [np.array([0.3, -1.0])], order=2)


def test_a_rule_may_name_all_options_as_one_mapping():
    seen = []

    def rule(g, options, x_shape):
        seen.append(options)
        return g * options["scale"]

    @primitive
    def planted(xp, x: Array, scale: float = 2.0, *, saving=False, name: str = "a"):
        return scale * x

    planted.vjp(x=rule)
    t = Tensor([1.0, 2.0], requires_grad=True)
    planted(t, name="b").sum().backward()
    assert seen == [{"scale": 2.0, "name": "b"}]
    assert t.grad.tolist() == [2.0, 2.0]


def test_a_rule_cannot_name_an_argument_that_is_also_a_name_of_the_engine():
    @primitive
    def planted(xp, x: Array, y: Array):
        return x + y

    planted.vjp(x=lambda g: g)
    with pytest.raises(DTypeError, match="names 'y', which is the output and an argument"):
        planted.vjp(y=lambda g, y: g)


def test_a_rule_takes_what_it_needs_by_position():
    @primitive
    def planted(xp, x: Array):
        return 2 * x

    planted.vjp(x=lambda g, x, k=2: k * g)
    assert gradcheck(planted, Tensor([1.0, 2.0], requires_grad=True))
    for rule in (lambda g, k=2, x=None: k * g, lambda g, *, x: 2 * g):
        with pytest.raises(DTypeError, match="expected g, x as its first parameters, by position"):
            planted.vjp(x=rule)
