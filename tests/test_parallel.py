import gc
import json
import os
import platform
import subprocess
import sys
import threading
import weakref

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController

from tinygrad_ckn import get_num_threads, parallel, set_num_threads
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.memory import Memory


@pytest.fixture(autouse=True)
def two_threads():
    before = get_num_threads()
    set_num_threads(2)
    yield
    set_num_threads(before)


def blas_threads() -> list[int]:
    return [
        library["num_threads"] for library in ThreadpoolController().select(user_api="blas").info()
    ]


def test_every_item_is_visited_once():
    seen: list[int] = []
    parallel.for_each(seen.append, range(100))
    assert sorted(seen) == list(range(100))


def test_the_work_is_shared():
    meeting = threading.Barrier(2, timeout=30)
    workers: set[int] = set()

    def meet(_: int) -> None:
        # A single thread cannot pass.
        meeting.wait()
        workers.add(threading.get_ident())

    parallel.for_each(meet, range(2))
    assert len(workers) == 2


def test_one_thread_does_everything_itself():
    set_num_threads(1)
    workers: set[int] = set()
    parallel.for_each(lambda _: workers.add(threading.get_ident()), range(10))
    assert workers == {threading.get_ident()}


def test_calls_within_calls_finish():
    seen: list[tuple[int, int]] = []
    parallel.for_each(
        lambda i: parallel.for_each(lambda j: seen.append((i, j)), range(5)), range(5)
    )
    assert len(set(seen)) == 25


@pytest.mark.parametrize("failing", [0, 7])
def test_the_error_of_an_item_is_raised_and_the_pool_still_works(failing):
    def fail(i: int) -> None:
        if i == failing:
            raise ValueError(f"item {i}")

    with pytest.raises(ValueError, match=f"item {failing}"):
        parallel.for_each(fail, range(8))
    seen: list[int] = []
    parallel.for_each(seen.append, range(8))
    assert len(seen) == 8


def test_blas_has_one_thread_inside_and_its_previous_number_afterwards():
    before = blas_threads()
    inside: list[list[int]] = []
    parallel.for_each(lambda _: inside.append(blas_threads()), range(2))
    assert all(set(threads) == {1} for threads in inside)
    assert blas_threads() == before
    with pytest.raises(RuntimeError), parallel.one_blas_thread():
        raise RuntimeError
    assert blas_threads() == before


def test_a_blas_library_loaded_later_is_limited_too():
    code = """
import tinygrad_ckn
from tinygrad_ckn import parallel
parallel.for_each(lambda i: None, range(4))
import scipy.linalg
from threadpoolctl import threadpool_info
with parallel.one_blas_thread():
    blas = [library for library in threadpool_info() if library["user_api"] == "blas"]
    print(sorted(library["num_threads"] for library in blas))
"""
    assert set(json.loads(python(code))) == {1}


def test_several_python_threads_call_at_once():
    results: dict[int, list[float]] = {}

    def work(number: int) -> None:
        x = np.full((40, 40), float(number))
        for _ in range(20):
            total = parallel.sum_of(
                lambda i, t: np.add(t, x @ x, out=t), range(9), lambda: np.zeros((40, 40))
            )
            results.setdefault(number, []).append(float(total[0, 0]))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    before = blas_threads()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {i: [9 * 40.0 * i * i] * 20 for i in range(6)}
    assert blas_threads() == before


def test_sums_have_the_same_bits_for_any_number_of_threads():
    x = np.random.default_rng(0).standard_normal((37, 50)).astype("float32")

    def total() -> np.ndarray:
        return parallel.sum_of(
            lambda i, t: np.add(t, x[i], out=t), range(37), lambda: np.zeros(50, "float32")
        )

    found = []
    for n in (1, 2, 5):
        set_num_threads(n)
        found.append(total())
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])
    np.testing.assert_allclose(found[0], x.sum(axis=0, dtype="float64"), rtol=1e-4, atol=1e-5)


def test_a_sum_over_nothing_is_the_start():
    assert parallel.sum_of(lambda i, t: None, [], lambda: np.zeros(3)).tolist() == [0, 0, 0]


def test_totals_are_finished_once_for_each_run():
    finished: list[int] = []

    def finish(total: list[int]) -> np.ndarray:
        finished.append(len(total))
        return np.array(sum(total))

    total = parallel.sum_of(lambda i, t: t.append(i), range(20), list, finish)
    assert total == sum(range(20))
    assert sum(finished) == 20
    assert len(finished) == parallel.GROUPS


def test_tiles_cover_everything_in_order():
    for n, size, limit, least in (
        (10, 3, 7, 1),
        (1, 100, 1, 1),
        (0, 5, 10, 1),
        (7, 0, 10, 1),
        (9, 100, 1, 4),
    ):
        cuts = parallel.tiles(n, size, limit, least)
        assert [i for cut in cuts for i in range(cut.start, cut.stop)] == list(range(n))
        assert all(cut.stop - cut.start <= max(least, limit // max(size, 1)) for cut in cuts)


def test_scratch_is_one_buffer_per_name_and_thread():
    first = parallel.scratch("test", (4, 8), np.dtype("float32"))
    first[...] = 7
    assert np.shares_memory(first, parallel.scratch("test", (8,), np.dtype("float64")))
    assert not np.shares_memory(first, parallel.scratch("test other", (4, 8), np.dtype("float32")))
    elsewhere: list[np.ndarray] = []
    thread = threading.Thread(
        target=lambda: elsewhere.append(parallel.scratch("test", (4, 8), np.dtype("float32")))
    )
    thread.start()
    thread.join()
    assert not np.shares_memory(first, elsewhere[0])
    assert first.ctypes.data % 64 == 0


def test_memory_of_results_is_reused_once_every_view_is_gone():
    shape, dtype = (2**18, 3), np.dtype("float32")
    first = parallel.empty(shape, dtype)
    address = first.ctypes.data
    view = first[5:].T[1:]
    second = parallel.empty(shape, dtype)
    assert not np.shares_memory(first, second)
    del first
    gc.collect()
    # The view still keeps the first.
    third = parallel.empty(shape, dtype)
    assert not np.shares_memory(third, view)
    del view, third
    gc.collect()
    taken = [parallel.empty(shape, dtype) for _ in range(3)]
    assert address in [array.ctypes.data for array in taken]
    assert not np.shares_memory(taken[0], taken[1])


def test_no_more_memory_is_kept_than_allowed():
    memory = Memory()
    memory.max_idle_bytes = 2**23
    held = [memory.empty((2**21,), np.dtype("uint8")) for _ in range(10)]
    del held
    gc.collect()
    memory.empty((2**22,), np.dtype("uint8"))
    assert sum(block.nbytes for block in memory.idle) <= 2**23


def test_small_results_are_plain_arrays():
    assert parallel.empty((3, 4), np.dtype("float64")).base is None


@pytest.mark.parametrize("n", [0, -1, 1.5, "two"])
def test_an_invalid_number_of_threads_is_refused(n):
    with pytest.raises(
        ConfigError, match="set_num_threads: argument n expected an integer >= 1, got"
    ):
        set_num_threads(n)


def python(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(("given", "found"), [("3", "3"), ("5,2", "5")])
def test_the_environment_sets_the_number_of_threads(given, found):
    assert (
        python("import tinygrad_ckn; print(tinygrad_ckn.get_num_threads())", OMP_NUM_THREADS=given)
        == found
    )


def test_the_default_is_one_thread_per_core():
    for nonsense in ("", "many", "0"):
        found = python(
            "import tinygrad_ckn; print(tinygrad_ckn.get_num_threads())", OMP_NUM_THREADS=nonsense
        )
        assert int(found) == len(os.sched_getaffinity(0))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_computes_even_if_forked_within_a_tile():
    code = """
import os, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of forks beside threads
from tinygrad_ckn import parallel, set_num_threads
from threadpoolctl import ThreadpoolController
set_num_threads(2)
def threads():
    return [lib["num_threads"] for lib in ThreadpoolController().select(user_api="blas").info()]
before = threads()
parallel.for_each(lambda i: None, range(4))
def child():
    seen = []
    inside = threads()
    parallel.for_each(seen.append, range(50))
    os._exit(0 if sorted(seen) == list(range(50)) and inside == before == threads() else 1)
with parallel.one_blas_thread():  # as another thread might be
    pid = os.fork()
    if pid == 0:
        child()
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    assert python(code) == "0"


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc",
    reason="other C libraries keep freed memory by rules of their own",
)
def test_memory_that_numpy_frees_is_reused():
    code = """
import resource
import numpy as np
import tinygrad_ckn
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    arrays = [np.ones(2**18) for _ in range(8)]
    del arrays
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # 400 arrays of 2 MB used the memory of a few.
    assert int(found.stdout) < 20 * 2**21 / 4096


def test_a_thread_that_outlives_the_main_one_continues_by_itself():
    code = """
import threading, time
from tinygrad_ckn import parallel, set_num_threads
set_num_threads(2)
def work():
    threading.main_thread().join()
    time.sleep(0.05)
    seen = []
    for _ in range(20):
        parallel.for_each(seen.append, range(10))
    total = parallel.sum_of(lambda i, t: t.append(i), range(9), list, len)
    print(len(seen), total)
threading.Thread(target=work).start()
"""
    assert python(code) == "200 9"


@pytest.mark.parametrize("first", ["main", "other"])
def test_blas_is_limited_to_one_thread_from_any_thread(first):
    code = f"""
from concurrent.futures import ThreadPoolExecutor
from tinygrad_ckn import parallel
from threadpoolctl import ThreadpoolController
import numpy
def inside():
    with parallel.one_blas_thread():
        return [lib["num_threads"] for lib in ThreadpoolController().select(user_api="blas").info()]
before = [lib["num_threads"] for lib in ThreadpoolController().select(user_api="blas").info()]
with ThreadPoolExecutor(1) as other, ThreadPoolExecutor(1) as third:
    ways = [inside, lambda: other.submit(inside).result(), lambda: third.submit(inside).result()]
    found = [way() for way in (ways if {first!r} == "main" else ways[::-1])]
after = [lib["num_threads"] for lib in ThreadpoolController().select(user_api="blas").info()]
print(all(set(threads) == {{1}} for threads in found) and before == after)
"""
    environment = {"OMP_NUM_THREADS": "", "OPENBLAS_NUM_THREADS": "3"}
    assert python(code, **environment) == "True"


def test_gradients_have_the_same_bits_in_any_thread_and_with_any_number_of_blas_threads():
    code = """
from concurrent.futures import ThreadPoolExecutor
import hashlib
import numpy as np
from tinygrad_ckn import ops, parallel, set_num_threads
from tinygrad_ckn.models import CKN, CKNLayer
from tinygrad_ckn.tensor import Tensor
from threadpoolctl import threadpool_limits
x = np.random.default_rng(0).random((20, 1, 28, 28), dtype=np.float32)
y = np.arange(20) % 10
m = np.random.default_rng(1).standard_normal((300, 200))
def bits():
    model = CKN(1, 28, 10, [CKNLayer(1, 32, 3, subsampling=2, rng=0)], rng=0)
    ops.cross_entropy(model(x), y).backward()
    t = Tensor(m, requires_grad=True)
    ops.square(ops.einsum("ij,kj->ik", t, t)).sum().backward()
    v = Tensor(m[:, 0], requires_grad=True)
    (ops.matmul(m.T, v).sum() + ops.solve(m[:200], m[0]).sum()).backward()
    found = model.layers[0].weight.grad.data, t.grad.data, v.grad.data
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in found)).hexdigest()
def nested():
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(bits).result()
found = {bits()}
for n in (1, 2, 3):
    set_num_threads(n)
    with ThreadPoolExecutor(2) as pool:
        found |= {bits(), nested(), pool.submit(bits).result(), pool.submit(nested).result()}
    with threadpool_limits(n):
        found.add(bits())
seen = []
parallel.for_each(lambda _: seen.append(bits()), range(3))
print(len(found | set(seen)))
"""
    assert python(code, OMP_NUM_THREADS="", OPENBLAS_NUM_THREADS="") == "1"


def test_nested_calls_leave_no_arrays_in_the_queue_of_busy_workers():
    alive: list[int] = []
    references: list[weakref.ref[np.ndarray]] = []

    def outer(_: int) -> None:
        array = np.zeros(10)
        references.append(weakref.ref(array))
        parallel.for_each(lambda i: array.__setitem__(i, i), range(10))
        alive.append(sum(reference() is not None for reference in references))

    parallel.for_each(outer, range(50))
    # One in each thread, and one that a thread is about to leave.
    assert max(alive) <= 4
