import numpy as np
import pytest

from tinygrad_ckn import Tensor, ops, refusals
from tinygrad_ckn.errors import BackendError, DTypeError, GradientError, OpIndexError, ShapeError
from tinygrad_ckn.primitive import Array, primitive


def restated(error, *operands):
    return refusals.of_forward(ops.matmul, error, operands, {})


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError("odd shapes."), ShapeError),
        (IndexError("out of bounds"), OpIndexError),
        (TypeError("not a number"), DTypeError),
        (ZeroDivisionError("division"), DTypeError),
    ],
)
def test_an_error_of_a_forward_gets_the_operation_and_its_operands(error, kind):
    sentence = restated(error, np.ones((2, 3)), None)
    assert type(sentence) is kind
    assert str(sentence).startswith(f"matmul: {str(error).rstrip('.')}; got a: float64 array")
    assert str(sentence).endswith("of shape (2, 3), b: None")


def test_an_error_of_the_library_passes_through():
    error = ShapeError("matmul: said already")
    assert restated(error, np.ones(2), 3) is error


def test_an_attribute_error_is_the_callers_if_an_argument_lacks_the_attribute():
    mistake, passed = AttributeError("no ndim", name="ndim", obj="text"), "text"
    assert restated(mistake, np.ones(2), np.ones(2)) is mistake
    caller = AttributeError("no ndim", name="ndim", obj=passed)
    assert type(restated(caller, np.ones(2), passed)) is DTypeError


def test_a_call_with_wrong_arguments_shows_the_signature():
    with pytest.raises(DTypeError, match=r"exp: .*argument.*; the call is exp\(x: .*no operands$"):
        ops.exp()


def test_an_unknown_option_is_an_error_of_the_operation_not_of_its_kernel():
    x = Tensor(np.ones((1, 1, 4, 4)))
    match = r"^correlate2d: got an unexpected keyword argument 'foo'; the call is correlate2d\("
    for image in (x, x.data):
        with pytest.raises(DTypeError, match=match):
            ops.correlate2d(image, x, foo=1)


def test_a_wrong_call_inside_a_forward_does_not_blame_the_caller():
    @primitive
    def calls_sin_wrongly(xp, x: Array) -> Array:
        return xp.sin(x, foo=1)

    with pytest.raises(DTypeError, match=r"calls_sin_wrongly: sin\(\) got an unexpected") as caught:
        calls_sin_wrongly(np.ones(2))
    assert "the call is" not in str(caught.value)


def test_an_operand_that_is_no_array_names_the_operation():
    error = refusals.of_backends(ops.exp, DTypeError("expected an array"), [[1.0]])
    assert (type(error), str(error)) == (DTypeError, "exp: expected an array")
    assert not isinstance(error, BackendError)


def test_each_sentence_names_the_operation_and_what_it_expected():
    sentences = [
        refusals.tensor_option(ops.sum, "axis"),
        refusals.count_of_gradients(ops.multiply, 2, 3),
        refusals.shape_of_gradient(ops.exp, 0, (2,), (3,)),
        refusals.kind_of_gradient(ops.exp, 0, (2,), [1.0]),
        refusals.data_assigned("exp", "argument x", (2,)),
    ]
    names = ["sum", "multiply", "exp", "exp", "exp"]
    for name, sentence in zip(names, sentences, strict=True):
        assert name in str(sentence)
        assert "expected" in str(sentence)
    assert all(isinstance(sentence, GradientError) for sentence in sentences[1:])
