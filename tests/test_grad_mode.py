"""Switches belong to a context: a thread, an asyncio task, a generator while it runs."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tinygrad_ckn import Tensor, detect_anomaly, enable_grad, no_grad, ops
from tinygrad_ckn.errors import DTypeError, GradientError
from tinygrad_ckn.grad_mode import evaluation, modes
from tinygrad_ckn.models import CKN, CKNLayer
from tinygrad_ckn.nn import Linear, Sequential

t = Tensor([1.0], requires_grad=True)


def records():
    return (t * 2).requires_grad


def test_no_grad_held_across_an_await_is_that_tasks_alone():
    seen = {}

    async def holder(inside, done):
        with no_grad():
            inside.set()
            await done.wait()
            seen["holder"] = records()
        seen["after"] = records()

    async def other(inside, done):
        await inside.wait()
        seen["other"] = records()
        done.set()

    async def main():
        inside, done = asyncio.Event(), asyncio.Event()
        await asyncio.gather(holder(inside, done), other(inside, done))

    asyncio.run(main())
    assert seen == {"holder": False, "other": True, "after": True}


def test_one_switch_object_in_two_tasks_at_once():
    shared = no_grad()
    seen = []

    async def task(enters, leaves, others):
        await asyncio.wait_for(enters.wait(), 5)
        with shared:
            others.set()
            await asyncio.wait_for(leaves.wait(), 5)
            seen.append(records())
        seen.append(records())

    async def main():
        first, second, end = asyncio.Event(), asyncio.Event(), asyncio.Event()
        first.set()
        await asyncio.gather(task(first, second, second), task(second, end, end))

    asyncio.run(main())
    assert seen == [False, True, False, True]


def test_a_thread_begins_with_recording():
    with no_grad(), ThreadPoolExecutor(1) as pool:
        assert pool.submit(records).result()
    assert records()


@pytest.mark.parametrize("decorate", [no_grad, no_grad()], ids=["bare", "called"])
def test_decorated_functions_generators_and_coroutines(decorate):
    @decorate
    def function():
        return records()

    @decorate
    def generator():
        got = yield records()
        try:
            yield got, records()
        except ValueError:
            yield "caught", records()
        return "end"

    @decorate
    async def coroutine():
        await asyncio.sleep(0)
        return records()

    @decorate
    async def several():
        for _ in range(2):
            yield records()

    assert not function()
    steps = generator()
    assert next(steps) is False
    # the caller records between two values
    assert records()
    assert steps.send("sent") == ("sent", False)
    assert steps.throw(ValueError) == ("caught", False)
    with pytest.raises(StopIteration) as end:
        next(steps)
    assert end.value.value == "end"
    assert asyncio.run(coroutine()) is False

    async def collect():
        return [(item, records()) async for item in several()]

    assert asyncio.run(collect()) == [(False, True)] * 2


@pytest.mark.parametrize("wrong", [3, Linear])
def test_what_is_no_function_is_not_decorated(wrong):
    with pytest.raises(
        DTypeError, match=r"expected a function to decorate, got (int|the class Linear)"
    ):
        no_grad(wrong)


def test_blocks_in_suspended_generators_end_with_what_they_found():
    def inner():
        with no_grad():
            yield

    suspended = inner()
    next(suspended)
    with enable_grad():
        # its block ends inside another one
        suspended.close()
        assert records()
    assert records()


def test_detect_anomaly_is_one_contexts_too():
    with detect_anomaly():
        with ThreadPoolExecutor(1) as pool:
            assert not pool.submit(lambda: modes.anomaly).result()
        with pytest.raises(GradientError), np.errstate(all="ignore"):
            ops.log(Tensor([-1.0]))


def test_evaluation_changes_no_module():
    net = Sequential(Linear(2, 2, rng=0), Linear(2, 2, rng=1))
    net.layers[1].eval()
    with evaluation():
        assert not net.training
        assert not net.layers[0].training
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(lambda: net.training).result()
    assert net.training
    # was in eval mode before, and still is
    assert not net.layers[1].training


def test_models_that_encode_in_threads_stay_in_training_mode():
    model = CKN(1, 6, 2, [CKNLayer(1, 4, 3, subsampling=2, rng=0)], rng=0)
    images = np.random.default_rng(0).random((40, 1, 6, 6), dtype="float32")
    expected = model.encode(images)
    seen, stop = [], threading.Event()

    def watch():
        while not stop.is_set():
            seen.append(model.training and all(m.training for m in model.modules()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(lambda _: model.encode(images, batch_size=3), range(16)))
    finally:
        stop.set()
        watcher.join()
    assert all(seen)
    assert model.training
    assert all(np.array_equal(r, expected) for r in results)


def test_encoding_leaves_modes_of_parts_as_they_were():
    model = CKN(1, 6, 2, [CKNLayer(1, 4, 3, subsampling=2, rng=0)], rng=0)
    model.layers[0].eval()
    model.encode(np.zeros((2, 1, 6, 6), dtype="float32"))
    assert model.training
    assert not model.layers[0].training
