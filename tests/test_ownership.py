"""Arrays that a user writes into between forward and backward.

A gradient is that of the values the forward saw.
"""

import mmap

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_ckn import Tensor, checkpoint, grad, ops
from tinygrad_ckn.errors import GradientError
from tinygrad_ckn.nn import Parameter
from tinygrad_ckn.ownership import own, own_option
from tinygrad_ckn.testing.cases import CASES
from tinygrad_ckn.testing.op_cases import CHECKED

cases = [case for name in CHECKED for case in CASES[name]]
# There are hundreds of cases, and a rule forgets to copy on every example or on none.
FEW = settings(max_examples=max(4, settings.default.max_examples // 4))


def is_float(a):
    return hasattr(a, "dtype") and a.dtype.kind == "f"


def spoil(value):
    """Overwrite every array and list in an argument."""
    if isinstance(value, np.ndarray):
        if value.flags.writeable and value.size:
            value[...] = np.flip(value) if value.dtype.kind in "iub" else 7.25
            value[...] = ~value if value.dtype.kind == "b" else value
    elif isinstance(value, list):
        value[:] = value[::-1]
    elif isinstance(value, tuple):
        for part in value:
            spoil(part)


def copied(value):
    if isinstance(value, np.ndarray):
        return value.copy()
    return type(value)(map(copied, value)) if isinstance(value, list | tuple) else value


def gradients(case, drawn, leaf, order, change):
    """Return gradients in one operand; the others are raw arrays, changed after the forward."""
    args, options = (
        [copied(a) for a in drawn.args],
        {k: copied(v) for k, v in drawn.options.items()},
    )
    x = Tensor(args[leaf], requires_grad=True)
    given = [x if i == leaf else a for i, a in enumerate(args)]
    outputs = case.call(options)(*given)
    outputs = list(outputs) if isinstance(outputs, list | tuple) else [outputs]
    random = np.random.default_rng(0)
    weights = [random.standard_normal(y.shape) for y in outputs]
    rest = [a for i, a in enumerate(given) if i != leaf]
    total = sum((y * w).sum() for y, w in zip(outputs, weights, strict=True))
    if change:
        spoil(tuple(rest))
        spoil(tuple(options.values()))
        spoil(tuple(weights))
    if not total.requires_grad:
        return []
    (g,) = grad(total, x, create_graph=order == 2)
    if g is None or order == 1 or not g.requires_grad:
        return [] if g is None else [g.numpy()]
    up = random.standard_normal(g.shape)
    (h,) = grad((g * up).sum(), x)
    return [g.numpy()] if h is None else [g.numpy(), h.numpy()]


@pytest.mark.parametrize("case", cases, ids=[f"{c.name}-{i}" for i, c in enumerate(cases)])
@FEW
@given(data=st.data(), order=st.sampled_from([1, 2]))
def test_gradients_are_those_of_what_the_forward_saw(case, order, data):
    drawn = case.draw(data)
    for leaf in [i for i, a in enumerate(drawn.args) if is_float(a)]:
        expected = gradients(case, drawn, leaf, order, False)
        found = gradients(case, drawn, leaf, order, True)
        assert len(found) == len(expected)
        assert all(
            np.array_equal(a, b, equal_nan=True) for a, b in zip(found, expected, strict=True)
        )


def test_two_batches_through_one_buffer():
    w = Tensor(np.ones((2, 1)), requires_grad=True)
    buffer = np.empty((1, 2))
    losses = []
    for batch in ([[1.0, 2.0]], [[10.0, 20.0]]):
        buffer[:] = batch
        losses.append((buffer @ w).sum())
    (losses[0] + losses[1]).backward()
    assert w.grad.tolist() == [[11.0], [22.0]]


@pytest.mark.parametrize(
    "index",
    [
        [0, 1],
        np.array([0, 1]),
        np.array([True, False, True]),
        ([0, 1],),
        (slice(None, 2), np.array([1, 0])),
        (np.array([[0], [1]]), [0, 1]),
        (Ellipsis, [1, 0]),
    ],
    ids=str,
)
@pytest.mark.parametrize("order", [1, 2])
def test_indices_that_are_written_into(index, order):
    def run(change):
        mine = copied(index)
        x = Tensor(np.arange(9.0).reshape(3, 3), requires_grad=True)
        y = ops.square(x[mine] if order == 1 else ops.index_add(x, mine, np.float64(2.0)))
        if change:
            spoil(mine if isinstance(mine, tuple) else (mine,))
        (g,) = grad((y * y).sum(), x, create_graph=True)
        return g.numpy(), grad(g.sum(), x)[0].numpy()

    assert all(map(np.array_equal, run(True), run(False)))


def test_views_and_memory_behind_views():
    whole = np.ones(4)
    frozen = whole[:2]
    # but whole is not
    frozen.flags.writeable = False
    x = Tensor([1.0, 1.0], requires_grad=True)
    y = (x * frozen).sum()
    whole[:] = 5
    y.backward()
    assert x.grad.tolist() == [1.0, 1.0]


def test_the_values_of_a_tensor_as_an_array():
    t, x = Tensor([2.0]), Tensor([1.0], requires_grad=True)
    y = (x * t.numpy()).sum()
    t.data -= 1
    y.backward()
    assert x.grad.tolist() == [2.0]


def test_read_only_memory_and_tensors_are_not_copied(tmp_path):
    array = np.ones(3)
    array.flags.writeable = False
    assert own(array) is array
    assert own(array[1:]).base is array
    np.save(tmp_path / "x.npy", np.ones(3))
    mapped = np.asarray(np.load(tmp_path / "x.npy", mmap_mode="r"))
    assert own(mapped) is mapped
    assert isinstance(np.load(tmp_path / "x.npy", mmap_mode="r").base, mmap.mmap)
    writable = np.asarray(np.load(tmp_path / "x.npy", mmap_mode="r+"))
    assert own(writable) is not writable
    bytes_ = np.frombuffer(b"\0" * 8)
    assert own(bytes_) is bytes_
    changing = bytearray(8)
    view = np.frombuffer(changing)
    view.flags.writeable = False
    assert own(view) is not view
    x = Tensor([1.0], requires_grad=True)
    c = Tensor([2.0])
    assert (x * c)._node.residuals[0] is c.data


def test_broadcast_arrays_are_copied_without_their_repetitions():
    base = np.arange(3.0)
    wide = np.broadcast_to(base[:, None], (3, 1000))
    copy = own(wide)
    assert np.array_equal(copy, wide)
    assert copy.strides == (8, 0)
    base[:] = 0
    assert copy[2, 0] == 2


def test_layouts_are_kept():
    for array in (np.asfortranarray(np.ones((3, 4))), np.ones((2, 3, 4)).transpose(0, 2, 1)):
        assert own(array).strides == array.strides


def test_options():
    index = ([0, 1], slice(None), np.array([1]), None)
    mine = own_option(index)
    assert mine[0] == [0, 1]
    assert mine[0] is not index[0]
    assert mine[2] is not index[2]
    assert own_option("same") == "same"


def test_an_assigned_array_is_copied():
    for t in (Tensor([1.0, 2.0], requires_grad=True), Parameter([1.0, 2.0])):
        array = np.array([3.0, 4.0])
        t.data = array
        y = (t * t).sum()
        array[:] = 0
        y.backward()
        assert t.tolist() == [3.0, 4.0]
        assert t.grad.tolist() == [6.0, 8.0]


def test_an_upstream_gradient_that_is_differentiated():
    x, up = Tensor([2.0], requires_grad=True), np.array([3.0])
    (g,) = grad(x * x, x, gradient=up, create_graph=True)
    up[:] = 0
    assert grad(g, x)[0].item() == 6.0


def test_arguments_of_a_checkpoint():
    x, scale, index = Tensor([1.0, 2.0], requires_grad=True), np.array([3.0, 4.0]), [0, 1]
    y = checkpoint(lambda x, scale, index: (x * scale)[index], x, scale, index)
    scale[:] = 0
    index[:] = [0, 0]
    y.sum().backward()
    assert x.grad.tolist() == [3.0, 4.0]


def test_assigning_tensors_is_still_noticed():
    x, c = Tensor([1.0], requires_grad=True), Tensor([2.0])
    y = x * c
    c.data = [3.0]
    with pytest.raises(GradientError, match="got data assigned since"):
        y.backward()


def test_operands_that_no_rule_reads_are_not_copied():
    x, big = Tensor(np.ones(3), requires_grad=True), np.ones(3)
    assert (x + big)._node.residuals == []
    shared = ops.where(np.array([True]), x, big)._node.residuals
    assert not any(np.shares_memory(k, big) for k in shared if isinstance(k, np.ndarray))


@pytest.mark.parametrize("case", cases, ids=[f"{c.name}-{i}" for i, c in enumerate(cases)])
@FEW
@given(data=st.data())
def test_tensors_that_are_assigned_are_noticed_or_do_not_matter(case, data):
    drawn = case.draw(data)
    places = [i for i, a in enumerate(drawn.args) if is_float(a)]
    for changed in places:
        given_ = [
            Tensor(a, requires_grad=True) if i in places else a for i, a in enumerate(drawn.args)
        ]
        outputs = case.call(drawn.options)(*given_)
        outputs = list(outputs) if isinstance(outputs, list | tuple) else [outputs]
        total = sum(y.sum() for y in outputs)
        if not total.requires_grad:
            continue
        leaves = [given_[i] for i in places]
        expected = grad(total, leaves, retain_graph=True)
        given_[changed].data -= 0.25
        try:
            found = grad(total, leaves)
        except GradientError:
            continue
        for a, b in zip(expected, found, strict=True):
            assert (a is None) == (b is None)
            assert a is None or np.array_equal(a.numpy(), b.numpy())
