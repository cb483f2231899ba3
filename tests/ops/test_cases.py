"""The checks that each case in tinygrad_ckn/testing/op_cases/ implies."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_ckn import ops
from tinygrad_ckn.primitive import REGISTRY
from tinygrad_ckn.testing.cases import CASES
from tinygrad_ckn.testing.contract import check_contract
from tinygrad_ckn.testing.gradcheck import check_adjoint, check_jvp, gradcheck
from tinygrad_ckn.testing.op_cases import CHECKED

cases = [case for name in CHECKED for case in CASES[name]]
# Tensors made of shapes and numbers, positions, and questions about dtypes.
WITHOUT_ARGUMENTS_TO_DIFFERENTIATE = set(
    """
    allclose arange array_equal array_namespace_info asarray can_cast empty empty_like eye finfo
    from_dlpack full full_like identity iinfo isdtype linspace nonzero one_hot ones ones_like
    result_type zeros zeros_like
    """.split()
)
RETURN_SEVERAL = ("broadcast_arrays", "meshgrid", "split", "unstack")
each = pytest.mark.parametrize("case", cases, ids=[f"{c.name}-{i}" for i, c in enumerate(cases)])
linear = pytest.mark.parametrize("case", [c for c in cases if c.linear], ids=lambda c: c.name)
# The rules are those of the gradients, which are checked on more examples.
FEW = settings(max_examples=max(4, settings.default.max_examples // 4))
errors = [(case, wrong) for case in cases for wrong in case.errors]


def test_every_primitive_with_a_rule_has_a_case():
    assert {name for name, primitive in REGISTRY.items() if primitive.differentiable} <= set(CASES)


def test_every_public_operation_has_a_case_or_no_derivative():
    without = {name for name, primitive in REGISTRY.items() if not primitive.differentiable}
    functions = [getattr(room, name) for room in (ops, ops.linalg) for name in room.__all__]
    names = {
        getattr(function, "name", function.__name__) for function in functions if callable(function)
    }
    assert names - without - WITHOUT_ARGUMENTS_TO_DIFFERENTIATE <= set(CASES)


def test_dir_shows_the_public_names_only():
    assert dir(ops) == sorted(ops.__all__)
    assert {"exp", "mul"} < set(dir(ops))
    assert not {"arithmetic", "kappa", "methods", "numpy_calls"} & set(dir(ops))


def test_primitives_without_a_rule_return_no_floats():
    for name, primitive in REGISTRY.items():
        if not primitive.differentiable:
            dtype = "int64" if name.startswith(("bitwise", "invert")) else "float64"
            needed = [
                operand for operand in primitive.operands if operand not in primitive.defaults
            ]
            result = primitive(**{operand: np.ones(2, dtype) for operand in needed})
            assert result.dtype.kind in "bi", name


@each
@settings(max_examples=max(6, settings.default.max_examples // 2))
@given(data=st.data())
def test_gradients_of_order_1_and_2(case, data):
    drawn = case.draw(data)
    assert gradcheck(case.call(drawn.options), drawn.args, order=2).error < 1e-5


@linear
@FEW
@given(data=st.data())
def test_adjoint_identity(case, data):
    drawn = case.draw(data)
    assert check_adjoint(case.call(drawn.options), drawn.args).error < 1e-12


@each
@FEW
@given(data=st.data())
def test_manners(case, data):
    drawn = case.draw(data)
    check_contract(case.call(drawn.options), drawn.args)


@each
@FEW
@given(data=st.data())
def test_jvp_agrees_with_differences(case, data):
    drawn = case.draw(data)
    if case.name not in RETURN_SEVERAL:
        assert check_jvp(case.call(drawn.options), drawn.args).error < 1e-7


@pytest.mark.parametrize(
    ("case", "wrong"), errors, ids=[f"{c.name}-{i}" for i, (c, _) in enumerate(errors)]
)
def test_bad_input_gets_its_sentence(case, wrong):
    with pytest.raises(wrong.error, match=wrong.match):
        case.function(*wrong.args, **wrong.options)
