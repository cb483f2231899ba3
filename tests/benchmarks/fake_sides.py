"""Sides that take no time, for the processes of the tests to import."""

import os
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.suite import LeftOutError, Work


def doubling(inputs, device, *, factor=2.0, log=None, allocate=0):
    """Double the numbers or not, log each step to a file, and allocate memory."""
    held = np.ones(allocate, np.uint8)

    def step():
        if log is not None:
            with Path(log).open("a") as file:
                file.write("step\n")
        return held

    return Work(step, lambda: {"doubled": factor * inputs["numbers"]})


def talking(inputs, device):
    print("what a library says while it is imported")
    sys.stdout.flush()
    os.write(1, b"and what its C code says")
    return doubling(inputs, device)


def environment(inputs, device, *, names):
    """Return numbers from environment variables; -1 for a missing one."""
    values = np.array([float(os.environ.get(name, "-1")) for name in names])
    return Work(lambda: None, lambda: {"values": values})


def memory_of_inputs(inputs, device):
    """Return whether arrays own their memory, at any depth."""
    arrays = [inputs["numbers"], inputs["nested"]["list"][0]]
    return Work(lambda: None, lambda: {"owned": np.array([a.flags.owndata for a in arrays])})


def absent(inputs, device):
    raise LeftOutError("it rains")


def failing(inputs, device):
    raise ZeroDivisionError("a bug")


def dying(inputs, device):
    os._exit(3)


def sleeping(inputs, device):
    return Work(lambda: time.sleep(0.001), lambda: {"doubled": 2 * inputs["numbers"]})
