"""The stand-in refuses what CuPy refuses, counts waits, and has only CuPy's names."""

import json
import pickle

import numpy as np
import pytest

from tools.gpu_emulator.standin import COUNTERS, CUPY, CUPYX, cupy_names, surface
from tools.gpu_emulator.standin.array import ndarray

xp = CUPY
MINE = xp.asarray([1.0, 2.0, 3.0])
HOST = np.array([1.0, 2.0, 3.0])


def waits(function):
    """Return the number of waits in a call."""
    COUNTERS.clear()
    function()
    return len(COUNTERS.synchronisations)


@pytest.mark.parametrize(
    "use",
    [
        lambda: MINE + HOST,
        lambda: HOST + MINE,
        lambda: MINE @ HOST,
        lambda: xp.add(MINE, HOST),
        lambda: xp.sum(HOST),
        lambda: xp.concatenate([MINE, HOST]),
        lambda: xp.where(MINE > 0, MINE, HOST),
        lambda: xp.einsum("i,i", MINE, HOST),
        lambda: MINE.dot(HOST),
        lambda: xp.exp(MINE, out=HOST),
        lambda: MINE.__setitem__(slice(None), HOST),
        lambda: MINE.__setitem__(0, [1.0]),
    ],
)
def test_host_and_device_do_not_mix(use):
    with pytest.raises(TypeError):
        use()


def test_scalars_go_with_arrays_on_either_side():
    for scalar in (2, 2.0, True, np.float64(2), np.int64(2)):
        assert (MINE * scalar).tolist() == (scalar * MINE).tolist() == (HOST * scalar).tolist()
    assert (xp.asarray([1.0], dtype="float32") * 2.0).dtype == "float32"
    assert (np.float64(2) * xp.asarray([1.0], dtype="float32")).dtype == "float64"


@pytest.mark.parametrize(
    "convert", [np.asarray, np.array, np.exp, np.sum, np.isfinite, lambda x: np.add(HOST, x)]
)
def test_numpy_functions_refuse_device_arrays(convert):
    with pytest.raises(TypeError):
        convert(MINE)


@pytest.mark.parametrize(
    "reduced",
    [
        MINE.sum(),
        MINE.max(),
        xp.mean(MINE),
        MINE[0],
        MINE @ MINE,
        xp.exp(xp.asarray(1.0)),
        (MINE > 0).all(),
    ],
)
def test_0d_results_are_arrays(reduced):
    assert isinstance(reduced, ndarray)
    assert reduced.shape == ()


def test_an_element_is_a_view():
    x = xp.zeros(3)
    x[1][...] = 5
    assert x.tolist() == [0, 5, 0]


@pytest.mark.parametrize(
    "call",
    [
        lambda: MINE.sum(where=MINE > 0),
        lambda: MINE.max(initial=0),
        lambda: xp.max(MINE, initial=0),
        lambda: xp.add(MINE, 1, where=MINE > 0),
        lambda: xp.exp(MINE, order="C"),
        lambda: xp.clip(MINE, min=0, max=1),
        lambda: MINE.item(0),
        lambda: xp.lib.stride_tricks.as_strided(MINE, (2,), (8,), writeable=False),
        lambda: xp.exp("one"),
        lambda: xp.isfinite(
            xp.asarray([1]).astype("complex128"), casting="no", dtype=None, out=None, extra=1
        ),
    ],
)
def test_arguments_that_cupy_lacks(call):
    with pytest.raises(TypeError):
        call()


@pytest.mark.parametrize(
    "name", ["block", "insert", "errstate", "geomspace", "nditer", "vecdot", "einsum_path", "typo"]
)
def test_names_that_cupy_lacks(name):
    with pytest.raises(AttributeError, match=rf"CuPy has no cupy\.{name}"):
        getattr(xp, name)


@pytest.mark.parametrize(
    "name", ["newbyteorder", "itemset", "resize", "tostring", "__index__", "__contains__"]
)
def test_attributes_that_arrays_lack(name):
    with pytest.raises(AttributeError):
        getattr(MINE, name)


def test_ufuncs_reduce_by_addition_and_multiplication_only():
    assert xp.add.reduce(MINE).tolist() == 6
    assert xp.multiply.accumulate(MINE).tolist() == [1, 2, 6]
    for ufunc in (xp.maximum, xp.logaddexp):
        with pytest.raises(NotImplementedError):
            ufunc.reduce(MINE)


@pytest.mark.parametrize(
    ("dtype", "takes"), [("float16", True), ("float64", True), ("int8", False), ("uint16", False)]
)
def test_add_at_has_few_dtypes(dtype, takes):
    x = xp.zeros(3, dtype)
    if takes:
        xp.add.at(x, xp.asarray([0, 0, 2]), 1)
        assert x.tolist() == [2, 0, 1]
    else:
        with pytest.raises(TypeError, match=r"add\.at"):
            xp.add.at(x, xp.asarray([0, 0, 2]), 1)


def test_an_index_out_of_range_is_an_error():
    for use in (lambda: MINE[xp.asarray([3])], lambda: MINE[[0, -4]], lambda: MINE[3]):
        with pytest.raises(IndexError):
            use()


def test_assigning_twice_to_a_position_is_an_error():
    x = xp.zeros(3)
    twice = xp.asarray([0, 2, 0])
    # one value, so the order does not matter
    x[twice] = 1.0
    with pytest.raises(IndexError, match="expected distinct positions"):
        x[twice] = MINE
    x[xp.asarray([0, 2, 1])] = MINE
    assert x.tolist() == [1, 3, 2]


def test_integers_on_the_device_are_not_python_indices():
    two = xp.asarray(2)
    assert MINE[two].tolist() == 3
    for use in (lambda: MINE[:two], lambda: range(two), lambda: [0, 1, 2][two]):
        with pytest.raises(TypeError):
            use()


def test_uninitialised_memory_is_filled_with_nan():
    assert np.isnan(xp.empty((2, 3)).get()).all()
    assert np.isnan(xp.empty_like(MINE).get()).all()
    assert xp.empty(2, "int64").tolist() == [0x7F7F7F7F7F7F7F7F] * 2


def test_operators_defer_to_operands_with_a_higher_priority():
    class Other:
        __array_priority__ = 1000

        def __radd__(self, other):
            return "theirs"

    assert MINE + Other() == "theirs"
    with pytest.raises(TypeError):
        MINE + "text"


def test_there_is_no_matrix_product_in_place():
    a = b = xp.eye(2)
    # another array
    a @= a
    assert a is not b


def test_nothing_warns():
    assert (MINE / xp.zeros(3)).tolist() == [np.inf] * 3
    assert np.isnan(xp.sqrt(-MINE).get()).all()


def test_linear_algebra_fails_silently_by_default():
    singular, indefinite = xp.zeros((2, 2)), -xp.eye(2)
    assert np.isnan(xp.linalg.inv(singular).get()).all()
    assert np.isnan(xp.linalg.cholesky(indefinite).get()).all()
    with CUPYX.errstate(linalg="raise"):
        for use in (lambda: xp.linalg.inv(singular), lambda: xp.linalg.cholesky(indefinite)):
            with pytest.raises(xp.linalg.LinAlgError):
                use()
    assert np.isnan(xp.linalg.inv(singular).get()).all()


@pytest.mark.parametrize(
    ("use", "times"),
    [
        (lambda: float(MINE[0]) + 1, 1),
        (lambda: int(MINE[0]), 1),
        (lambda: bool(MINE[0]), 1),
        (MINE[0].item, 1),
        (MINE.tolist, 1),
        (MINE.get, 1),
        (lambda: xp.asnumpy(MINE), 1),
        (lambda: str(MINE), 1),
        (lambda: f"{MINE[0]:.1f}", 1),
        (lambda: MINE[MINE > 1], 1),
        (lambda: xp.nonzero(MINE), 1),
        (lambda: xp.where(MINE > 1), 1),
        (lambda: xp.unique(MINE), 1),
        (lambda: xp.bincount(xp.asarray([1, 2])), 1),
        (xp.cuda.get_current_stream().synchronize, 1),
        (xp.cuda.Event().synchronize, 1),
        (xp.cuda.Device().synchronize, 1),
        (lambda: pickle.dumps(MINE), 1),
        (lambda: xp.linalg.inv(xp.eye(2)), 0),
        (lambda: xp.sum(MINE * 2 + xp.exp(MINE)), 0),
        (lambda: xp.where(MINE > 1, MINE, 0), 0),
        (lambda: xp.asarray(HOST), 0),
        (lambda: MINE[xp.asarray([0, 1])], 0),
        (MINE.copy, 0),
        (lambda: len(MINE) + MINE.size + MINE.ndim, 0),
    ],
)
def test_waiting_is_counted(use, times):
    assert waits(use) == times


def test_waiting_for_the_status_of_linear_algebra_is_counted():
    with CUPYX.errstate(linalg="raise"):
        assert waits(lambda: xp.linalg.eigh(xp.eye(3))) == 1
    assert waits(lambda: xp.linalg.eigh(xp.eye(3))) == 0


def test_counts_name_the_line_of_code():
    COUNTERS.clear()
    float(MINE[0])
    xp.asarray(HOST)
    assert COUNTERS.synchronisations[0].startswith(f"float(x) at {__file__}")
    assert COUNTERS.to_device[0].startswith(f"array(x) at {__file__}")


def test_views_know_what_they_are_views_of():
    x = xp.arange(6)
    assert x.base is None
    assert x.reshape(2, 3).T.base is x
    assert (x + 1).base is None
    assert x.astype("int64", copy=False) is x
    assert xp.asarray(x) is x
    assert xp.array(x) is not x
    assert xp.may_share_memory(x[1:], x)
    assert not xp.may_share_memory(x.copy(), x)


def test_results_are_numpys():
    x, host = xp.arange(24.0).reshape(2, 3, 4), np.arange(24.0).reshape(2, 3, 4)
    for mine, theirs in (
        (xp.einsum("abc,dbc->ad", x, x), np.einsum("abc,dbc->ad", host, host)),
        (xp.pad(x, 1), np.pad(host, 1)),
        (xp.moveaxis(x, 0, -1), np.moveaxis(host, 0, -1)),
        (x.argmax(axis=1), host.argmax(axis=1)),
        (-x // 5 % 2, -host // 5 % 2),
        (
            xp.lib.stride_tricks.sliding_window_view(x, 2, axis=2),
            np.lib.stride_tricks.sliding_window_view(host, 2, 2),
        ),
    ):
        np.testing.assert_array_equal(mine.get(), theirs)
    for mine, theirs in zip(xp.split(x, 2), np.split(host, 2), strict=True):
        np.testing.assert_array_equal(mine.get(), theirs)


def test_random_numbers_are_drawn_on_the_host():
    with pytest.raises(AttributeError):
        _ = xp.random.default_rng


def test_get_array_module_knows_its_arrays(plain):
    assert plain.get_array_module(MINE, 1) is plain
    assert plain.get_array_module(HOST) is np


def test_the_recorded_table_is_that_of_the_installed_cupy():
    pytest.importorskip(
        "cupy",
        reason="the table is compared with CuPy, which is not installed: pip install cupy-cuda13x",
    )
    recorded, installed = json.loads(cupy_names.FILE.read_text()), cupy_names.surface()
    assert recorded.pop("version").keys() == installed.pop("version").keys()
    assert recorded == installed


def test_the_stand_in_works_from_the_recorded_table(monkeypatch):
    monkeypatch.setattr(surface, "table", lambda: json.loads(cupy_names.FILE.read_text()))
    assert surface.check_call("cupy", "sum", (MINE,), {"axis": 0}) == {"a": MINE, "axis": 0}


def test_solve_takes_batches_of_one_shape_only():
    a, b = xp.eye(3), xp.ones((2, 3, 1))
    for left, right in ((a, b), (xp.ones((2, 3, 3)), xp.ones((3, 1))), (a, xp.ones(2))):
        with pytest.raises(ValueError, match="must have"):
            xp.linalg.solve(left, right)
    assert xp.linalg.solve(xp.broadcast_to(a, (2, 3, 3)), xp.ones(3)).shape == (2, 3)


@pytest.mark.parametrize("name", ["sort", "argsort"])
def test_sorting_is_stable_or_refused(name):
    assert getattr(xp, name)(MINE, kind="stable").shape == MINE.shape
    for call in (
        lambda: getattr(xp, name)(MINE, kind="quicksort"),
        lambda: getattr(MINE, name)(kind="heapsort"),
    ):
        with pytest.raises(ValueError, match="kind can only be None or 'stable'"):
            call()


def test_least_squares_are_of_one_matrix():
    with pytest.raises(ValueError, match="two-dimensional"):
        xp.linalg.lstsq(xp.ones((2, 3, 3)), xp.ones((2, 3)))


def test_calls_of_cupy_are_counted_except_views():
    x = xp.ones((3, 3))
    COUNTERS.clear()
    x.reshape(9).T, xp.moveaxis(x, 0, 1), x[1:], xp.broadcast_to(x, (2, 3, 3))
    assert not COUNTERS.calls
    (
        xp.exp(x) + 1,
        x @ x,
        x.sum(axis=0),
        xp.einsum("ij->i", x),
        xp.linalg.inv(x),
        xp.where(x > 0, x, 0),
    )
    assert COUNTERS.calls == [
        "exp",
        "add",
        "matmul",
        "sum",
        "einsum",
        "linalg.inv",
        "greater",
        "where",
    ]
    assert not COUNTERS.launches
