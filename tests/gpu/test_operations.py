"""Every operation on the stand-in for CuPy has the values and gradients of the CPU."""

import pickle
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_ckn import Tensor, checkpoint, grad, hessian, hvp, jacobian, jvp, ops, vjp
from tinygrad_ckn.backend import to_numpy
from tinygrad_ckn.errors import (
    BackendError,
    ConfigError,
    DataError,
    DTypeError,
    GradientError,
    LinearAlgebraError,
    OpIndexError,
    ShapeError,
)
from tinygrad_ckn.nn import Sphere
from tinygrad_ckn.ops.kappa import Kappa
from tinygrad_ckn.primitive import REGISTRY
from tinygrad_ckn.testing import check_adjoint, gradcheck
from tinygrad_ckn.testing.cases import CASES, Bad, Case, Draw, on_device
from tinygrad_ckn.testing.op_cases import CHECKED
from tools.gpu_emulator.standin import COUNTERS

# relative to the largest value
TOLERANCES = {"float64": 1e-12, "float32": 1e-5}
# those that wait for the report of a routine of linear algebra, so that they can raise
REPORTING = set(
    """
    inv solve solve_triangular cholesky det cofactors slogdet eigh svd svdvals qr pinv lstsq expm
    matrix_power matrix_norm cond
    """.split()
)
cases = [case for name in CHECKED for case in CASES[name]]
each = pytest.mark.parametrize("case", cases, ids=[f"{c.name}-{i}" for i, c in enumerate(cases)])


def drawn_for(case: Case, data: Any, dtype: str) -> Draw:
    """Draw arguments in a dtype, without algorithms that only the CPU has."""
    args, options = case.draw(data)
    floats = [a.astype(dtype) if getattr(a, "dtype", None) == "float64" else a for a in args]
    return Draw(
        floats, {key: "auto" if key == "algorithm" else value for key, value in options.items()}
    )


def results(function: Any, args: Sequence[Any], device: str) -> list[np.ndarray]:
    """Return the outputs, and the gradients of a randomly weighted sum of them, on the host."""
    points = on_device(args, device)
    leaves = [p for p in points if isinstance(p, Tensor) and p.dtype.kind == "f"]
    for leaf in leaves:
        leaf.requires_grad = True
    found = function(*points)
    outputs = list(found) if isinstance(found, tuple | list) else [found]
    rng = np.random.default_rng(3)
    weights = [
        Tensor(rng.uniform(0.5, 1.5, y.shape), dtype=y.dtype, device=y.device) for y in outputs
    ]
    total = sum((y * w).sum() for y, w in zip(outputs, weights, strict=True))
    gradients = grad(total, leaves)
    assert all(
        g.device == leaf.device for g, leaf in zip(gradients, leaves, strict=True) if g is not None
    )
    return [to_numpy(t.data) for t in (*outputs, *(g for g in gradients if g is not None))]


def assert_near(mine: Sequence[np.ndarray], reference: Sequence[np.ndarray], dtype: str) -> None:
    for a, b in zip(mine, reference, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        assert np.isfinite(b).all()
        if b.size:
            assert np.abs(a - b).max() <= TOLERANCES[dtype] * np.abs(b).max()


def assert_alike(case: Case, dtype: str, examples: int) -> bool:
    """Compare an operation on both devices; return whether a draw needs a kernel."""

    @settings(max_examples=examples)
    @given(data=st.data())
    def run(data):
        args, options = drawn_for(case, data, dtype)
        function = case.call(options)
        assert_near(results(function, args, "cuda"), results(function, args, "cpu"), dtype)
        needs_kernel.append(all(has_kernel(argument) for argument in args))

    needs_kernel = []
    run()
    return any(needs_kernel)


def has_kernel(argument):
    """Return whether kernels take an argument: no empty array, no kappa without a struct."""
    if isinstance(argument, Kappa):
        return argument.device is not None
    return getattr(argument, "size", 1) > 0


@each
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_values_and_gradients_are_those_of_the_cpu(plain, case, dtype):
    assert_alike(case, dtype, examples=4)


with_kernels = [
    case for case in cases if case.name in REGISTRY and "cuda" in REGISTRY[case.name].kernels
]


@pytest.mark.parametrize(
    "case", with_kernels, ids=[f"{c.name}-{i}" for i, c in enumerate(with_kernels)]
)
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_values_and_gradients_with_kernels_are_those_of_the_cpu(standin, case, dtype):
    needs_kernel = assert_alike(case, dtype, examples=3)
    # The kernel of inverse_sqrt is CuPy's.
    assert COUNTERS.launches or not needs_kernel or case.name == "inverse_sqrt"


@pytest.mark.parametrize(
    "name", ["correlate2d", "ckn_map", "inverse_sqrt", "lyapunov", "index_add", "max_pool2d"]
)
def test_derivatives_are_those_of_finite_differences(plain, name):
    @settings(max_examples=2)
    @given(data=st.data())
    def run(data):
        for case in CASES[name]:
            args, options = drawn_for(case, data, "float64")
            function, points = case.call(options), on_device(args, "cuda")
            assert gradcheck(function, points, order=2).error < 1e-5
            if case.linear:
                assert check_adjoint(function, points).error < 1e-12

    run()


# the number of distinct elements is read; orders that CuPy lacks come from the host
DISTINCT = set("unique_all unique_counts unique_inverse unique_values".split())
WAIT = REPORTING | DISTINCT | {"i0e", "ive"}


@each
def test_only_some_operations_wait_for_the_device(plain, case):
    @settings(max_examples=3)
    @given(data=st.data())
    def run(data):
        args, options = drawn_for(case, data, "float64")
        points = on_device(args, "cuda")
        for point in points:
            if isinstance(point, Tensor) and point.dtype.kind == "f":
                point.requires_grad = True
        COUNTERS.clear()
        found = case.call(options)(*points)
        outputs = list(found) if isinstance(found, tuple | list) else [found]
        # to_device waits by definition.
        if all(y.device == "cuda" for y in outputs):
            for y in outputs:
                y.backward(y.detach())
            masked = any("mask" in wait for wait in COUNTERS.synchronisations)
            # inverts a root
            outside = options.get("convention") == "outside"
            assert not COUNTERS.synchronisations or masked or outside or case.name in WAIT

    run()


def alike(wrong: Bad) -> bool:
    """Return whether both devices must refuse a call.

    That excludes refusals for values, algorithms, or numbers that make no Tensor.
    """
    complexes = any(getattr(a, "dtype", None) == "complex128" for a in wrong.args)
    return (
        wrong.error in (ShapeError, DTypeError, ConfigError)
        and not complexes
        and "algorithm" not in wrong.options
    )


@pytest.mark.parametrize(
    ("case", "wrong"),
    [(case, wrong) for case in cases for wrong in case.errors if alike(wrong)],
    ids=lambda value: getattr(value, "name", None),
)
def test_invalid_input_gives_the_error_of_the_cpu(plain, case, wrong):
    with pytest.raises(wrong.error, match=wrong.match):
        case.function(*on_device(wrong.args, "cuda"), **wrong.options)


@pytest.mark.parametrize(
    "call",
    [
        lambda on: ops.inverse_sqrt(on(-np.eye(2))),
        lambda on: ops.inverse_sqrt(on([[1.0, 2.0], [-2.0, 1.0]]), eps=9),
        lambda on: ops.inverse_sqrt(on([[np.nan, 0.0], [0.0, 1.0]])),
        lambda on: ops.sqrtm(on(-np.eye(2))),
        lambda on: ops.lyapunov(on(-np.eye(2)), on(np.eye(2))),
        lambda on: ops.cross_entropy(on(np.ones((2, 3))), on([0, 3])),
        lambda on: ops.cross_entropy(on(np.ones((2, 3))), on([0, -1])),
        lambda on: ops.squared_hinge(on(np.ones((2, 3))), on([0, 3])),
        lambda on: ops.cross_entropy(on(np.ones((2, 3))), on([0, 1]), on([2.0, -1.0])),
        lambda on: ops.squared_hinge(on(np.ones((2, 3))), on([0, 1]), on([0.0, 0.0])),
        lambda on: Sphere().retract(on([[0.0, 0.0], [3.0, 4.0]]).data),
        lambda on: Sphere().retract(on([[np.inf, 0.0], [3.0, 4.0]]).data),
    ],
)
def test_values_that_the_cpu_refuses_give_nan(plain, call):
    with pytest.raises((LinearAlgebraError, DataError)):
        call(Tensor)
    COUNTERS.clear()
    found = call(lambda values: Tensor(values, device="cuda"))
    assert COUNTERS.synchronisations == []
    found = to_numpy(found.data if isinstance(found, Tensor) else found)
    assert np.isnan(found).any()
    if found.shape == (2, 2) and np.isfinite(found).any():
        # Other rows stay correct.
        np.testing.assert_allclose(found[1], [0.6, 0.8])


@pytest.mark.parametrize(
    ("a", "b"), [([2, 3], -1), ([2, 3], [1, -2]), (2, [0, -1]), ([2, 3], np.int64(-1))]
)
def test_integers_have_no_negative_powers(plain, a, b):
    """CuPy would give 0."""
    a, b = (Tensor(x, device="cuda") if isinstance(x, list) else x for x in (a, b))
    with pytest.raises(
        ShapeError, match="power: expected exponents >= 0 of integers, got a negative one; use"
    ):
        ops.power(a, b)
    assert np.isfinite(ops.power(a, b * -1.0).numpy()).all()
    assert ops.power(a, b * b).dtype == "int64"


@pytest.mark.parametrize("loss", [ops.cross_entropy, ops.squared_hinge])
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint64"])
def test_labels_of_a_dtype_too_small_for_the_number_of_classes(plain, loss, dtype):
    scores, labels = np.random.default_rng(0).normal(size=(3, 300)), np.array([0, 100, 127], dtype)
    on_gpu = loss(Tensor(scores, device="cuda"), Tensor(labels, device="cuda")).item()
    assert on_gpu == pytest.approx(loss(Tensor(scores), Tensor(labels)).item(), rel=1e-12)
    too_large = Tensor(np.array([0, 1, np.iinfo("uint64").max], "uint64"), device="cuda")
    assert np.isnan(loss(Tensor(scores, device="cuda"), too_large).item())


@pytest.mark.parametrize("loss", [ops.cross_entropy, ops.squared_hinge])
@pytest.mark.parametrize("create_graph", [False, True])
def test_wrong_labels_give_gradients_of_nan(plain, loss, create_graph):
    scores = Tensor(np.ones((2, 3)), device="cuda", requires_grad=True)
    (gradient,) = grad(
        loss(scores, Tensor([0, 3], device="cuda")), scores, create_graph=create_graph
    )
    assert np.isnan(gradient.numpy()).all()


def test_eigenvalues_that_do_not_solve_the_problem_are_nan(plain, monkeypatch):
    def wrong(a):
        return plain.ones(a.shape[:-1]), plain.ones(a.shape)

    monkeypatch.setattr(plain.linalg, "eigh", wrong)
    assert np.isnan(ops.sqrtm(Tensor(np.diag([1.0, 2.0]), device="cuda")).numpy()).all()


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda a, b: a + b, "add: arguments a and b"),
        (lambda a, b: ops.where(a > 0, 1.0, b), "where: arguments condition and b"),
        (
            lambda a, b: ops.concatenate([a, a, b]),
            r"concatenate: arguments arrays\[0\] and arrays\[2\]",
        ),
        (lambda a, b: ops.solve(ops.reshape(a, (1, 1)), b), "solve: arguments a and b"),
        (lambda a, b: a * b.data, "multiply: arguments a and b"),
    ],
)
def test_operands_on_two_devices_are_named(plain, call, names):
    a, b = Tensor([1.0], device="cuda"), Tensor([2.0])
    with pytest.raises(
        BackendError,
        match=rf"^{names}: expected arrays on one device, got 'cuda' and 'cpu'; move one",
    ):
        call(a, b)


def test_tensors_on_the_gpu(plain):
    x = Tensor([[1.0, 2.0], [3.0, 4.0]], device="cuda", requires_grad=True)
    assert (x.device, Tensor(x.data).device, Tensor(x, device="cpu").device) == (
        "cuda",
        "cuda",
        "cpu",
    )
    assert (x.item(1, 0), x.item(3), x[0, 1].item(), x.tolist()[1]) == (3.0, 4.0, 2.0, [3.0, 4.0])
    assert repr(x.detach()) == "Tensor((2, 2), float64, cuda) [[1. 2.] [3. 4.]]"
    assert isinstance(x.numpy(), np.ndarray)
    with pytest.raises(GradientError, match=r"the tensor is on a GPU; use t\.numpy"):
        np.asarray(x.detach())
    (x.to("cpu") * 2).sum().backward()
    assert (x.grad.device, x.grad.tolist()) == ("cuda", [[2.0, 2.0], [2.0, 2.0]])
    again = pickle.loads(pickle.dumps(x))
    assert (again.device, again.requires_grad, again.tolist()) == ("cuda", True, x.tolist())
    with pytest.raises(OpIndexError, match=r"Tensor\.item"):
        x.item(2, 0)


def test_derivatives_of_functions_on_the_gpu(plain):
    def on(device):
        x, v = Tensor([1.0, 2.0, 3.0], device=device), Tensor([1.0, 0.0, -1.0], device=device)

        def cubes(x):
            return (x**3).sum()

        found = [
            hessian(cubes, x),
            jacobian(ops.exp, x),
            hvp(cubes, x, v)[1][0],
            jvp(ops.sin, x, v)[1],
        ]
        found += [vjp(cubes, x)[1][0], checkpoint(ops.exp, x)]
        assert all(t.device == device for t in found)
        return [t.numpy() for t in found]

    assert_near(on("cuda"), on("cpu"), "float64")


@pytest.mark.parametrize(
    "function",
    [
        lambda a: (ops.linalg.eigvalsh(a) ** 3).sum(),
        lambda a: (ops.linalg.svdvals(a[:, :2]) ** 2).sum() ** 2,
        lambda a: ops.linalg.svdvals(a).sum(),
        lambda a: (ops.linalg.det(a) + 1) ** 2,
        lambda a: (ops.linalg.svd(a[:2]).Vh ** 2).sum(),
    ],
)
@pytest.mark.parametrize("point", [np.eye(3), np.diag([2.0, 0.0, 0.0])], ids=["equal", "rank 1"])
def test_second_derivatives_at_equal_and_zero_values_are_those_of_the_cpu(plain, function, point):
    mine = hessian(function, Tensor(point, device="cuda"))
    assert mine.device == "cuda"
    np.testing.assert_allclose(to_numpy(mine.data), hessian(function, point).numpy(), atol=1e-12)
