"""Runs of Python programs in processes that have imported what they need: forks of a server.

A process that starts anew takes half a second to import NumPy, the package, typer and
rich, and a second more for scikit-learn and matplotlib; tests start a hundred. Here a
server imports them once, and each program runs in a fork of it: a process of its own,
with its own folder, environment, arguments and streams, which may be a terminal.

What a program does before its first line (PYTHONIOENCODING and the like, an import that
fails) is seen only in a process that starts anew: `subprocess` is for that.
"""

from __future__ import annotations

import atexit
import functools
import importlib
import json
import os
import runpy
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
MODULES = (
    "tinygrad_ckn.cli",
    "tinygrad_ckn.plots",
    "tinygrad_ckn.testing.op_cases",
    "tinygrad_ckn.training.loop",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "rich.progress",
    "rich.table",
    "safetensors.numpy",
    "scipy.linalg",
    "scipy.optimize",
    "sklearn.svm",
)


class Process:
    """A program that runs in a fork of the server."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def wait(self) -> int:
        """Wait for the program to end and return its exit status."""
        return int(self._connection.recv(64))


def start(
    arguments: Sequence[object],
    streams: tuple[int, int, int],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Process:
    """Start a program; one at a time.

    Parameters
    ----------
    arguments
        As after `python`: "-m", a module and its arguments, or a file and its arguments.
    streams
        File descriptors of stdin, stdout and stderr.
    cwd, env
        Its folder and environment variables; those of this process by default.
    """
    request = {
        "arguments": [os.fspath(a) if isinstance(a, Path) else str(a) for a in arguments],
        "cwd": str(cwd or Path.cwd()),
        "env": dict(os.environ if env is None else env),
    }
    connection = _server()
    socket.send_fds(connection, [json.dumps(request).encode()], streams)
    return Process(connection)


def run(
    arguments: Sequence[object],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, without input, and return its status and output."""
    with (
        Path(os.devnull).open() as nothing,
        tempfile.TemporaryFile("w+") as out,
        tempfile.TemporaryFile("w+") as err,
    ):
        streams = (nothing.fileno(), out.fileno(), err.fileno())
        status = start(arguments, streams, cwd=cwd, env=env).wait()
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(list(arguments), status, out.read(), err.read())


@functools.cache
def _server() -> socket.socket:
    """Start the server of this process and return the connection to it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "tools.warm_python", str(theirs.fileno())]
    server = subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()])
    theirs.close()

    def stop() -> None:
        ours.close()
        server.wait()

    atexit.register(stop)
    return ours


def _serve(connection: socket.socket) -> None:
    for name in MODULES:
        try:
            importlib.import_module(name)
        except ImportError:
            # an extra: a program that needs it says so itself
            continue
    while True:
        message, descriptors, _, _ = socket.recv_fds(connection, 1 << 20, 3)
        if not message:
            return
        child = os.fork()
        if child == 0:
            connection.close()
            os._exit(_program(json.loads(message), descriptors))
        for descriptor in descriptors:
            os.close(descriptor)
        _, status = os.waitpid(child, 0)
        connection.send(str(os.waitstatus_to_exitcode(status)).encode())


def _program(request: dict[str, Any], descriptors: Sequence[int]) -> int:
    """Run a program as the interpreter would, and return its exit status."""
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin = open(0, closefd=False)
    sys.stdout = open(1, "w", buffering=1 if os.isatty(1) else -1, closefd=False)
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    try:
        status = _run_main(request["arguments"])
        atexit._run_exitfuncs()
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stderr.flush()
    return status


def _run_main(arguments: list[str]) -> int:
    try:
        if arguments[0] == "-m":
            _, module, *sys.argv[1:] = arguments
            sys.path[0] = str(Path.cwd())
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        else:
            path, *sys.argv[1:] = arguments
            sys.argv[0] = path
            sys.path[0] = str(Path(path).resolve().parent)
            runpy.run_path(path, run_name="__main__")
    except SystemExit as error:
        if error.code is None or isinstance(error.code, int):
            return error.code or 0
        print(error.code, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
