import numpy as np
import pytest
from hypothesis import strategies as st

from tinygrad_ckn import ops
from tinygrad_ckn.errors import BackendError, ConfigError, GradientError
from tinygrad_ckn.primitive import REGISTRY, Rule
from tinygrad_ckn.testing import gradcheck, gradgradcheck
from tinygrad_ckn.testing.cases import CASES, case, on_device
from tinygrad_ckn.testing.runner import Result, run_case, run_cases
from tinygrad_ckn.testing.strategies import arrays

# whose gradients are zero
flat = {"sign", "floor", "ceil", "round", "trunc", "floor_divide", "kink", "imag"}
flat_in = {("copysign", "b"), ("nextafter", "b")}
ruled = sorted(
    (n, operand)
    for n, p in REGISTRY.items()
    for operand in (p.operands if p.joint else p.rules)
    if n not in flat and (n, operand) not in flat_in
)


def spoiled(primitive, operand):
    """Return the attributes of a primitive whose gradient for an operand is off by a thousandth."""
    if primitive.joint is None:
        function, needs = primitive.rules[operand]
        return "rules", {
            **primitive.rules,
            operand: Rule(lambda *args: 1.001 * function(*args), needs),
        }
    function, needs = primitive.joint
    place = primitive.operands.index(operand)

    def joint(*args):
        pulled = function(*args)
        off = [g is not None and (primitive.variadic or i == place) for i, g in enumerate(pulled)]
        return [1.001 * g if wrong else g for g, wrong in zip(pulled, off, strict=True)]

    return "joint", Rule(joint, needs)


@pytest.fixture
def plant(monkeypatch):
    """Return a function that replaces rules of a primitive, and forgets its cached plans."""

    def put(name, attribute, rules):
        monkeypatch.setattr(REGISTRY[name], attribute, rules)
        monkeypatch.setattr(REGISTRY[name], "_plans", {})

    return put


@pytest.mark.parametrize(("name", "operand"), ruled)
def test_any_rule_spoiled_by_a_thousandth_is_caught_at_order_1_and_2(plant, name, operand):
    plant(name, *spoiled(REGISTRY[name], operand))
    for check in (gradcheck, gradgradcheck):
        # one case that catches it is enough: some do not use the operand
        assert any(fails(one, check) for one in CASES[name]), f"{check.__name__} missed {operand}"


def fails(one, check):
    """Return whether a check finds an error in a case."""
    try:
        run_case(one, examples=2, device="cpu", result=Result(one.name), check=check)
    except GradientError:
        return True
    return False


@pytest.mark.untraced
def test_at_least_60_primitives_within_their_tolerances():
    results = run_cases(examples=1)
    assert len(results) >= 60
    assert {r.verdict for r in results} == {"ok"}
    assert max(r.order1 for r in results) <= 1e-7
    assert max(r.order2 for r in results) <= 1e-5
    assert max(r.adjoint for r in results if r.adjoint is not None) <= 1e-12
    assert sum(r.adjoint is not None for r in results) >= 25


def test_a_failure_is_a_verdict_with_a_message(plant):
    plant("exp", "rules", {"x": Rule(lambda g, y: 1.01 * g * y, ("g", "y"))})
    seen = []
    exp, sin = run_cases(["sin", "exp"], examples=2, on_result=seen.append)
    assert (exp.verdict, sin.verdict) == ("FAIL", "ok")
    assert "gradient of argument 0" in exp.message
    assert seen == [exp, sin]


def test_an_unexpected_error_fails_the_primitive_and_not_the_run(plant):
    plant("exp", "rules", {"x": Rule(lambda g: g.nonsense, ("g",))})
    (exp,) = run_cases(["exp"], examples=1)
    assert exp.verdict == "FAIL"
    assert "AttributeError" in exp.message


def test_unknown_names_devices_and_counts():
    with pytest.raises(ConfigError, match=r"expected names among .*, got nonsense"):
        run_cases(["nonsense"])
    with pytest.raises(BackendError, match="tpu"):
        run_cases(["exp"], device="tpu")
    with pytest.raises(ConfigError, match="examples expected an integer >= 1, got 0"):
        run_cases(["exp"], examples=0)


def test_the_same_draws_every_time():
    assert run_cases(["matmul"], examples=3) == run_cases(["matmul"], examples=3)


def test_a_case_takes_strategies_values_and_draws_of_everything_together():
    together = st.just((1.5, {"b": 2.0}))
    made = [
        case(ops.add, arrays(2), 3.0, name="planted", b=st.just(1)),
        case(ops.add, together, name="planted"),
    ]
    try:
        drawn = []
        for one in made:
            run_case(
                one,
                examples=1,
                device="cpu",
                result=Result("planted"),
                check=lambda f, args: drawn.append(args),
            )
        assert drawn[0][0].shape == (2,)
        assert drawn[1] == [1.5]
    finally:
        del CASES["planted"]


def test_arrays_become_tensors_on_the_device():
    tensor, number = on_device([np.ones(2), 3], "cpu")
    assert tensor.device == "cpu"
    assert number == 3
