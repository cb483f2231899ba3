"""What a writer of primitives of their own meets: what works, and one sentence for what does not."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tinygrad_ckn import Tensor
from tinygrad_ckn.errors import DTypeError
from tinygrad_ckn.primitive import REGISTRY, Array, primitive


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
            r"namespace as the forward's first parameter, got \(x: Array\); write def f\(xp, x: Array\)",
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
