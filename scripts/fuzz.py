"""Feed damaged files to everything that reads files.

    python scripts/fuzz.py --count 5000 --seed 0

Each must give the right content or an error of one sentence, in bounded time and
memory. Small valid files of every kind are changed by scripts/fuzz_mutators.py, one to
four times each, and read again. A fault is an exception that is not the library's, a
message of several lines, more than 10 seconds, more than 500 MB of memory, or a file
accepted with another content than an independent reader of the same bytes gives
(`numpy.load`, `csv`, `struct`, safetensors, `json`). Each fault is printed with the
command that repeats it.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import random
import resource
import signal
import struct
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from fuzz_mutators import MUTATORS, OTHERS
from safetensors.numpy import load as load_tensors

from tinygrad_ckn.data import (
    Split,
    load,
    load_cifar10,
    load_csv,
    load_images,
    load_labels,
    load_npz,
    load_pixels,
)
from tinygrad_ckn.errors import CKNError
from tinygrad_ckn.models import CKN, CKNLayer
from tinygrad_ckn.training import Run, load_model, save_model, train
from tinygrad_ckn.training.evaluation_images import open_model

csv.field_size_limit(10**9)
SECONDS = 10
MEGABYTES = 500
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (24, 5, 5), dtype=np.uint8)
LABELS = np.arange(24) % 3


class Target(NamedTuple):
    """A kind of file: valid bytes, its reader, and an independent reader (None: not compared)."""

    suffix: str
    content: bytes
    read: Callable[[Path], Any]
    expected: Callable[[bytes], Any] | None = None


# --- independent readers ---


def _scaled(array: np.ndarray) -> np.ndarray:
    """Return images (n, 1, H, W) scaled as the library does."""
    if array.dtype.kind in "iu":
        return (array.astype(np.float32) / np.float32(255)).reshape(-1)
    return array.astype(np.float32).reshape(-1)


def _npy_says(content: bytes) -> np.ndarray:
    return _scaled(np.load(io.BytesIO(content), allow_pickle=False))


def _npz_says(content: bytes) -> np.ndarray:
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return np.sort(
            np.concatenate(
                [_scaled(archive[key]) for key in ("images", "test_images") if key in archive]
            )
        )


def _csv_says(labelled: bool, divided: bool) -> Callable[[bytes], np.ndarray]:
    def says(content: bytes) -> np.ndarray:
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        text = content.decode("utf-8").removeprefix("\ufeff")
        # The separator of most lines; a decimal comma is not expected.
        mark = max(",;\t ", key=lambda mark: (text.count(mark), mark == ","))
        lines = [line.strip().removesuffix(mark) for line in text.split("\n") if line.strip()]
        rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=mark)]
        named = rows[0][0].strip("'\"").lower() == "label"
        rows = (
            rows[1:]
            if named or not all(_is_number(cell) for cell in rows[0][1 if labelled else 0 :])
            else rows
        )
        cells = [row[1:] if labelled or named else row for row in rows]
        values = np.array([[np.float32(cell) for cell in row] for row in cells])
        whole = not any(mark in cell for row in cells for cell in row for mark in ".eE")
        return (values / np.float32(255) if whole and divided else values).reshape(-1)

    return says


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _idx_says(content: bytes) -> np.ndarray:
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    code = content[2]
    rank = content[3]
    shape = struct.unpack(f">{rank}I", content[4 : 4 + 4 * rank])
    dtype = np.dtype({8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}[code])
    return _scaled(np.frombuffer(content[4 + 4 * rank :], dtype).reshape(shape))


def _cifar_says(content: bytes) -> np.ndarray:
    return (
        np.frombuffer(content, np.uint8).reshape(-1, 3073)[:, 1:].astype(np.float32) / 255
    ).reshape(-1)


def _tensors_say(content: bytes) -> np.ndarray:
    tensors = load_tensors(content)
    return np.concatenate([tensors[name].reshape(-1) for name in sorted(tensors)])


def _metrics_say(content: bytes) -> list[Any]:
    *lines, last = content.decode().removeprefix("\ufeff").splitlines(keepends=True) or [""]
    records = [json.loads(line) for line in lines]
    try:
        return [*records, json.loads(last)]
    except ValueError:
        # A last line without its end was cut off by a crash.
        if last.endswith("\n"):
            raise
        return records


# --- the library's readers ---


def _pixels(images: Any) -> np.ndarray:
    return (images.images if isinstance(images, Split) else images).reshape(-1)


def _sorted_pixels(path: Path) -> np.ndarray:
    """Return the sorted pixels of both parts, because the loader's split changes the order."""
    dataset = load_npz(path)
    return np.sort(np.concatenate([_pixels(dataset.train), _pixels(dataset.test)]))


def _model_weights(path: Path) -> np.ndarray:
    model = load_model(path)
    model.data_format = None
    images = np.ones((2, model.in_channels, *model.image_size), np.float32)
    if not np.isfinite(model.scores(images)).all():
        raise ArithmeticError("a loaded model gives scores that are not finite")
    state = model.state_dict()
    return np.concatenate([state[name].reshape(-1) for name in sorted(state)])


def _labels(path: Path) -> list[Any]:
    return list(load_labels(path).tolist())


def _in_folder(name: str, read: Callable[[Path], Any]) -> Callable[[Path], Any]:
    """Return a reader of a folder that holds the file under a given name among valid ones."""

    def reader(path: Path) -> Any:
        # A folder holds the files of one format.
        folder = path.parent / f"folder of {read.__name__}"
        for other, content in FOLDERS[read].items():
            folder.mkdir(exist_ok=True)
            (folder / other).write_bytes(content)
        (folder / name).write_bytes(path.read_bytes())
        return read(folder)

    return reader


def _idx_folder(folder: Path) -> np.ndarray:
    return _pixels(load(folder).train)


def _cifar_folder(folder: Path) -> np.ndarray:
    return _pixels(load_cifar10(folder).test)


def _records(folder: Path) -> list[Any]:
    return Run.open(folder).records()


def _opened(folder: Path) -> None:
    open_model(folder)


FOLDERS: dict[Callable[[Path], Any], dict[str, bytes]] = {}
TARGETS: dict[str, Target] = {}


def _idx(array: np.ndarray) -> bytes:
    code = {"u1": 8, "i4": 12, "f4": 13}[array.dtype.str[1:]]
    return (
        struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
        + array.astype(array.dtype.newbyteorder(">")).tobytes()
    )


def _saved(save: Callable[..., None], *arrays: Any, **named: Any) -> bytes:
    stream = io.BytesIO()
    save(stream, *arrays, **named)
    return stream.getvalue()


def prepare(folder: Path) -> None:
    """Fill TARGETS and FOLDERS with valid files."""
    rows = IMAGES.reshape(24, -1)
    lines = "\n".join(
        ",".join(map(str, (label, *row))) for label, row in zip(LABELS, rows, strict=True)
    )
    table = ",".join(["label", *(f"pixel{i}" for i in range(25))]) + "\n" + lines + "\n"
    pixels = "\n".join(",".join(f"{pixel / 255:.4g}" for pixel in row) for row in rows) + "\n"
    (folder / "digits.csv").write_text(table)
    run = _trained(folder)
    records = RNG.integers(0, 256, (3, 3073), dtype=np.uint8)
    records[:, 0] = (1, 0, 9)
    FOLDERS[_idx_folder] = {
        "train-images-idx3-ubyte": _idx(IMAGES),
        "train-labels-idx1-ubyte": _idx(LABELS.astype("u1")),
        "t10k-images-idx3-ubyte": _idx(IMAGES[:6]),
        "t10k-labels-idx1-ubyte": _idx(LABELS[:6].astype("u1")),
    }
    FOLDERS[_cifar_folder] = {f"data_batch_{i}.bin": records.tobytes() for i in range(1, 6)} | {
        "test_batch.bin": records.tobytes()
    }
    FOLDERS[_records] = FOLDERS[_opened] = {
        path.name: path.read_bytes() for path in run.iterdir() if path.is_file()
    }
    TARGETS.update(_array_targets())
    TARGETS.update(_text_targets(table, pixels))
    TARGETS.update(_binary_targets(FOLDERS[_idx_folder], records))
    TARGETS.update(_run_targets(folder, FOLDERS[_opened]))


def _trained(folder: Path) -> Path:
    """Save a model as m.safetensors, train another on digits.csv, and return its folder."""
    model = CKN(1, 5, 3, [CKNLayer(1, 4, 3, rng=0), CKNLayer(4, 4, 3, subsampling=2, rng=1)], rng=0)
    model.fit(
        IMAGES[:, None] / np.float32(255), LABELS, n_patches=200, iterations=2, l2=1e-4, rng=0
    )
    save_model(model, folder / "m.safetensors")
    return train(
        load_csv(folder / "digits.csv"),
        model="unsup-32-64",
        n_patches=200,
        iterations=1,
        out=folder / "run",
        source={"data": str(folder / "digits.csv"), "data_dir": None},
    ).run.folder


def _array_targets() -> dict[str, Target]:
    both = {
        "images": IMAGES,
        "labels": LABELS,
        "test_images": IMAGES[:5],
        "test_labels": LABELS[:5],
    }
    return {
        "npz": Target(".npz", _saved(np.savez, **both), _sorted_pixels, _npz_says),
        "npz compressed": Target(
            ".npz", _saved(np.savez_compressed, images=IMAGES / 255), load_images
        ),
        "npz words": Target(
            ".npz",
            _saved(np.savez, images=IMAGES, labels=np.array(["a", "b", "c"])[LABELS]),
            load_npz,
        ),
        "npy": Target(".npy", _saved(np.save, IMAGES), load_images, _npy_says),
        "npy floats": Target(
            ".npy", _saved(np.save, IMAGES[:, None].astype("f4")), load_images, _npy_says
        ),
    }


def _text_targets(table: str, pixels: str) -> dict[str, Target]:
    return {
        "csv": Target(".csv", table.encode(), load_csv),
        "csv pixels": Target(".csv", (pixels * 2).encode(), load_images, _csv_says(False, True)),
        "csv as it is": Target(".csv", pixels.encode(), load_pixels, _csv_says(False, False)),
        "labels": Target(
            ".csv",
            ("Id,Prediction\n" + "\n".join(f"{i + 1},{i % 3}" for i in range(24))).encode(),
            _labels,
        ),
    }


def _binary_targets(idx: Mapping[str, bytes], records: np.ndarray) -> dict[str, Target]:
    return {
        "idx": Target("-ubyte", idx["train-images-idx3-ubyte"], load_images, _idx_says),
        "idx zipped": Target(
            ".gz", gzip.compress(_idx(IMAGES.astype("f4"))), load_images, _idx_says
        ),
        "idx images": Target(
            "",
            idx["train-images-idx3-ubyte"],
            _in_folder("train-images-idx3-ubyte", _idx_folder),
            _idx_says,
        ),
        "idx labels": Target(
            "",
            idx["train-labels-idx1-ubyte"],
            _in_folder("train-labels-idx1-ubyte", _idx_folder),
        ),
        "cifar10": Target(
            "", records.tobytes(), _in_folder("test_batch.bin", _cifar_folder), _cifar_says
        ),
    }


def _run_targets(folder: Path, run: Mapping[str, bytes]) -> dict[str, Target]:
    return {
        "model": Target(
            ".safetensors",
            (folder / "m.safetensors").read_bytes(),
            _model_weights,
            _tensors_say,
        ),
        "config": Target("", run["config.json"], _in_folder("config.json", _opened)),
        "metrics": Target(
            "",
            run["metrics.jsonl"],
            _in_folder("metrics.jsonl", _records),
            _metrics_say,
        ),
        "run model": Target("", run["model.safetensors"], _in_folder("model.safetensors", _opened)),
    }


# --- the trial ---


def mutated(target: Target, r: random.Random) -> tuple[bytes, str]:
    """Return a target's content after one to four mutations, and their names."""
    content = target.content
    names = []
    for _ in range(r.choice((1, 1, 1, 2, 4))):
        mutate = r.choice(MUTATORS)
        content = mutate(bytearray(content or b"\0"), r)
        names.append(mutate.__name__.strip("_"))
    return content, "+".join(names)


@contextmanager
def limits() -> Iterator[None]:
    """Limit the time and memory of a block."""

    def late(*_: Any) -> None:
        raise TimeoutError(f"more than {SECONDS} s")

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + MEGABYTES * 2**20, before[1]))
    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        resource.setrlimit(resource.RLIMIT_AS, before)


def fault_of(target: Target, content: bytes, folder: Path) -> str | None:
    """Return a fault in reading some content; None: none, "refused": an error of one sentence."""
    path = folder / f"file{target.suffix}"
    path.write_bytes(content)
    try:
        with limits(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content_read = target.read(path)
    except CKNError as error:
        message = str(error)
        return (
            "refused"
            if message and message.isprintable() and len(message) < 2000
            else f"a message {message[:200]!r}"
        )
    except (Exception, RecursionError) as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
    if target.expected is None:
        return None
    try:
        expected = target.expected(content)
    except Exception as error:
        return f"accepted what another reader refuses: {type(error).__name__}: {str(error)[:100]}"
    same = (
        content_read == expected
        if isinstance(content_read, list)
        else np.array_equal(np.ravel(content_read), expected)
    )
    return None if same else "accepted with another content"


def main(arguments: list[str] | None = None) -> int:
    """Run the trial, print one line per fault and a summary; return the number of faults."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=300, help="Number of damaged files.")
    parser.add_argument(
        "--seed", type=int, default=0, help="Of the first file; each file has a seed of its own."
    )
    options = parser.parse_args(arguments)
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        OTHERS[:] = [target.content for target in TARGETS.values()]
        kinds = sorted(TARGETS)
        # Valid files must be accepted, so that errors below are due to the damage.
        for kind in kinds:
            fault = fault_of(TARGETS[kind], TARGETS[kind].content, folder)
            if fault is not None:
                raise SystemExit(
                    f"fuzz: expected a sound file of kind {kind} to be read, got {fault}"
                )
        for seed in range(options.seed, options.seed + options.count):
            r = random.Random(seed)
            kind = kinds[seed % len(kinds)]
            content, names = mutated(TARGETS[kind], r)
            fault = fault_of(TARGETS[kind], content, folder)
            counts["read" if fault is None else "refused" if fault == "refused" else "faults"] += 1
            if fault not in (None, "refused"):
                print(
                    f"{kind}, {names}: {fault}; python scripts/fuzz.py --count 1 --seed {seed}",
                    flush=True,
                )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{options.count:,} damaged files: {counts['refused']:,} refused in a sentence, "
        f"{counts['read']:,} read, {counts['faults']:,} faults; {len(MUTATORS)} mutators, "
        f"{len(TARGETS)} kinds, at most {peak:,.0f} MiB"
    )
    return counts["faults"]


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
