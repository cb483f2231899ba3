import gc
import subprocess
import sys
import threading

import numpy as np
import pytest

from tinygrad_ckn import parallel
from tinygrad_ckn.memory import Memory, usable_bytes

MIB = 2**20


def group(root, lines, limits):
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text("\n".join(lines) + "\n")
    for place, text in limits.items():
        file = root / "sys/fs/cgroup" / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
    return usable_bytes(root)


@pytest.mark.parametrize(
    ("lines", "limits", "expected"),
    [
        (["0::/"], {"memory.max": str(100 * MIB)}, 100),
        # the limit of a parent group
        (
            ["0::/a/b"],
            {"a/b/memory.max": "max", "a/memory.max": str(64 * MIB)},
            64,
        ),
        (["0::/a"], {"a/memory.max": str(64 * MIB), "memory.max": str(32 * MIB)}, 32),
        # as seen from within a container
        (["0::/../../host/job"], {"memory.max": str(16 * MIB)}, 16),
        (
            ["5:cpu,memory:/job", "1:name=systemd:/"],
            {"memory/job/memory.limit_in_bytes": str(48 * MIB)},
            48,
        ),
        (["5:memory:/docker/1"], {"memory/memory.limit_in_bytes": str(48 * MIB)}, 48),
    ],
)
def test_the_limit_of_a_control_group_counts(tmp_path, lines, limits, expected):
    assert group(tmp_path, lines, limits) == expected * MIB


@pytest.mark.parametrize("text", ["max", "9223372036854771712", "", "nonsense", "-1"])
def test_without_a_limit_the_machine_counts(tmp_path, text):
    assert group(tmp_path, ["0::/"], {"memory.max": text}) == usable_bytes(tmp_path / "nowhere")


def test_idle_memory_is_bounded_as_soon_as_it_is_released():
    memory = Memory()
    memory.max_idle_bytes = 4 * MIB
    held = [memory.empty((2 * MIB,), np.uint8) for _ in range(10)]
    held.clear()
    gc.collect()
    assert not memory.returned
    assert sum(block.nbytes for block in memory.idle) <= 4 * MIB


def test_memory_released_during_a_count_is_counted_afterwards():
    memory = Memory()
    held = [memory.empty((2 * MIB,), np.uint8) for _ in range(3)]
    # as if a garbage collection ran within `_take`
    with memory.lock:
        held.clear()
    assert len(memory.returned) == 3
    memory.empty((2 * MIB,), np.uint8)
    assert not memory.returned


def test_idle_memory_is_released_before_an_allocation_fails():
    memory = Memory()
    held = memory.empty((2 * MIB,), np.uint8)
    del held
    calls = []

    def allocate():
        calls.append(len(memory.idle))
        if len(calls) == 1:
            raise MemoryError
        return "made"

    assert memory.allocate_or_release(allocate) == "made"
    assert calls == [1, 0]
    with pytest.raises(MemoryError):
        memory.allocate_or_release(lambda: np.empty(2**62, np.uint8))


@pytest.mark.skipif(sys.platform != "linux", reason="needs RLIMIT_AS and /proc")
def test_results_and_scratch_get_idle_memory_back_from_the_system():
    code = """
import gc, resource
import numpy as np
from tinygrad_ckn import parallel
held = [parallel.empty((2**23,), np.uint8) for _ in range(40)]
held.clear()
gc.collect()
size = int(next(l for l in open("/proc/self/status") if l.startswith("VmSize")).split()[1]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (size + 2**26,) * 2)
for make in (parallel.empty, lambda shape, dtype: parallel.scratch("test", shape, np.dtype(dtype))):
    held = [parallel.empty((2**23,), np.uint8) for _ in range(8)]
    held.clear()
    array = make((2**27,), np.uint8)
    array[::4096] = 1
    del array
    parallel._scratch.buffers.clear()
    parallel._scratch.arrays.clear()
print("made")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout.strip() == "made", done.stderr


def test_concurrent_allocations_and_releases_lose_nothing():
    memory = Memory()

    def work():
        for i in range(200):
            array = memory.empty((MIB + i,), np.uint8)
            array[:] = 1
            del array

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gc.collect()
    assert not memory.lent
    assert not memory.returned


def test_the_library_shares_one_memory():
    assert isinstance(parallel._memory, Memory)


@pytest.mark.parametrize(
    ("limit", "most"), [(0, 2**29), (2**40, 2**37), (2**31, 2**29), (2**28, 2**26)]
)
def test_the_bound_on_idle_memory_is_a_share_of_usable_memory(limit, most):
    assert Memory(limit).max_idle_bytes == most
