"""Mutations of files for scripts/fuzz.py: each maps bytes and a generator to other bytes."""

from __future__ import annotations

import gzip
import io
import json
import random
import warnings
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

# valid files of other kinds
OTHERS: list[bytes] = []


def _flip_bit(b: bytearray, r: random.Random) -> bytes:
    b[r.randrange(len(b))] ^= 1 << r.randrange(8)
    return bytes(b)


def _any_byte(b: bytearray, r: random.Random) -> bytes:
    b[r.randrange(len(b))] = r.choice((0, 1, 0x7F, 0x80, 0xFF, r.randrange(256)))
    return bytes(b)


def _some_bytes(b: bytearray, r: random.Random) -> bytes:
    start = r.randrange(len(b))
    b[start : start + r.randrange(1, 9)] = r.randbytes(r.randrange(1, 9))
    return bytes(b)


def _insert(b: bytearray, r: random.Random) -> bytes:
    place = r.randrange(len(b))
    b[place:place] = r.randbytes(r.randrange(1, 30))
    return bytes(b)


def _delete(b: bytearray, r: random.Random) -> bytes:
    start = r.randrange(len(b))
    del b[start : start + r.randrange(1, 30)]
    return bytes(b)


def _repeat(b: bytearray, r: random.Random) -> bytes:
    start = r.randrange(len(b))
    piece = b[start : start + r.randrange(1, 60)]
    b[start:start] = piece * r.randrange(1, 5)
    return bytes(b)


def _swap(b: bytearray, r: random.Random) -> bytes:
    i, j = sorted(r.randrange(len(b)) for _ in range(2))
    return bytes(b[j:] + b[i:j] + b[:i])


def _truncate(b: bytearray, r: random.Random) -> bytes:
    return bytes(b[: r.randrange(len(b))])


def _append(b: bytearray, r: random.Random) -> bytes:
    return bytes(b) + r.choice((b"\0" * 50, b"\n", r.randbytes(40), bytes(b)))


def _empty(b: bytearray, r: random.Random) -> bytes:
    return r.choice((b"", b"\0", b"\n", b"{}", b"[]", b"null"))


def _noise(b: bytearray, r: random.Random) -> bytes:
    return r.randbytes(len(b))


def _zeros(b: bytearray, r: random.Random) -> bytes:
    start = r.randrange(len(b))
    length = r.randrange(1, 200)
    b[start : start + length] = bytes(len(b[start : start + length]))
    return bytes(b)


def _large_length(b: bytearray, r: random.Random) -> bytes:
    """Write a large integer where a length may be, in either byte order."""
    value = r.choice((2**31 - 1, 2**31, 2**32 - 1, 10**6, 10**9))
    size = r.choice((4, 8))
    start = r.randrange(min(len(b), 128))
    b[start : start + size] = value.to_bytes(8, r.choice(("big", "little")))[:size]
    return bytes(b)


def _number(b: bytearray, r: random.Random) -> bytes:
    """Replace a run of digits by another number as text."""
    places = [i for i, byte in enumerate(b) if 48 <= byte <= 57]
    if not places:
        return bytes(b)
    start = r.choice(places)
    end = start
    while end < len(b) and 48 <= b[end] <= 57:
        end += 1
    new = r.choice(
        (
            b"-1",
            b"0",
            b"1e999",
            b"nan",
            b"-inf",
            b"9" * 30,
            b"9" * 5000,
            b"1_0",
            b"0x10",
            b"1.5",
            b"True",
            b"",
        )
    )
    return bytes(b[:start] + new + b[end:])


def _word(b: bytearray, r: random.Random) -> bytes:
    """Replace a word by another."""
    words = (
        b"label",
        b"images",
        b"float32",
        b"<u1",
        b"|u1",
        b"False",
        b"shape",
        b"null",
        b"true",
        b'"CKN"',
        b"F32",
        b"id",
    )
    old = r.choice(words)
    new = r.choice((*words, b"|O", b"", b"\xc3\xa9", b"\x1b[31m", b"F64", b"<f8", b">i2", b"<U9"))
    return bytes(b).replace(old, new, r.choice((1, -1)))


def _deep(b: bytearray, r: random.Random) -> bytes:
    """Insert deep nesting."""
    place = r.randrange(len(b))
    b[place:place] = r.choice((b"[", b"(", b'{"a":')) * r.choice((50, 3000, 100_000))
    return bytes(b)


def _separators(b: bytearray, r: random.Random) -> bytes:
    old, new = r.choice(
        (
            (b",", b";"),
            (b",", b"\t"),
            (b"\n", b"\r\n"),
            (b"\n", b"\r"),
            (b"\n", b"\n\n"),
            (b":", b"="),
            (b",", b", "),
        )
    )
    return bytes(b).replace(old, new, r.choice((1, -1)))


def _encoding(b: bytearray, r: random.Random) -> bytes:
    text = bytes(b).decode("latin-1")
    return r.choice(
        (
            b"\xef\xbb\xbf" + bytes(b),
            text.encode("utf-16"),
            text.encode("utf-8"),
            b"\xff" + bytes(b),
        )
    )


def _long_cell(b: bytearray, r: random.Random) -> bytes:
    place = r.randrange(len(b))
    b[place:place] = r.choice((b"a", b"0", b"9", b",", b" ")) * r.choice((300, 5000, 400_000))
    return bytes(b)


def _lines(b: bytearray, r: random.Random) -> bytes:
    lines = bytes(b).split(b"\n")
    r.shuffle(lines)
    return b"\n".join(lines[: r.randrange(1, len(lines) + 1)])


def _json(b: bytearray, r: random.Random) -> bytes:
    """Replace a value in JSON, or in the JSON header of a model file."""
    head = len(b) - len(bytes(b).lstrip(b" ")) if b[:1] in (b"{", b"[") else 8
    try:
        length = int.from_bytes(b[:8], "little") if head == 8 else len(b)
        tree = json.loads(bytes(b[head : head + length]))
    except (ValueError, RecursionError, OverflowError):
        return bytes(b)
    _replace_somewhere(tree, r)
    text = json.dumps(tree).encode()
    return text if head != 8 else len(text).to_bytes(8, "little") + text + bytes(b[8 + length :])


# replacements for values in JSON
VALUES = (
    None,
    True,
    -1,
    0,
    10**9,
    10**30,
    0.5,
    float("nan"),
    "",
    "x",
    "\x1b[31m",
    [],
    {},
    [1, 2],
    [[]] * 9,
)


def _keys(node: Any) -> Sequence[Any]:
    """Return the keys of a dict, the indices of a list, or nothing for a leaf."""
    if isinstance(node, dict):
        return list(node)
    return range(len(node)) if isinstance(node, list) else ()


def _replace_somewhere(tree: Any, r: random.Random) -> None:
    places: list[tuple[Any, Any]] = []
    stack = [tree]
    while stack:
        node = stack.pop()
        keys = _keys(node)
        places += [(node, key) for key in keys]
        stack += [node[key] for key in keys]
    if not places:
        return
    node, key = r.choice(places)
    value = node[key]
    # JSON within JSON: an architecture
    if isinstance(value, str) and value[:1] in ("{", "["):
        inner = json.loads(value)
        _replace_somewhere(inner, r)
        node[key] = json.dumps(inner)
    elif isinstance(node, dict) and r.random() < 0.2:
        del node[key]
    else:
        node[key] = r.choice(VALUES)


def _members(b: bytearray, r: random.Random) -> bytes:
    """Rewrite an archive with a member damaged, renamed, duplicated or omitted."""
    try:
        with zipfile.ZipFile(io.BytesIO(bytes(b))) as archive:
            members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    except Exception:
        return bytes(b)
    if not members:
        return bytes(b)
    place = r.randrange(len(members))
    name, content = members[place]
    choice = r.randrange(5)
    if choice == 0:
        members[place] = (r.choice(("images.npy", "labels.npy", "../x", "", "images")), content)
    elif choice == 1:
        members.append((name, content))
    elif choice == 2:
        del members[place]
    else:
        members[place] = (name, r.choice(SIMPLE)(bytearray(content or b"\0"), r))
    stream = io.BytesIO()
    with (
        warnings.catch_warnings(),
        zipfile.ZipFile(stream, "w", r.choice((0, 8, 12, 14))) as archive,
    ):
        # warnings about duplicate names
        warnings.simplefilter("ignore")
        for name, content in members:
            archive.writestr(name or "x", content)
    return stream.getvalue()


def _gzip(b: bytearray, r: random.Random) -> bytes:
    """Mutate the content of a gzip file, or compress other content."""
    try:
        inner = gzip.decompress(bytes(b)) or b"\0"
    except Exception:
        return gzip.compress(bytes(b))
    return gzip.compress(r.choice(SIMPLE)(bytearray(inner), r)) + r.choice(
        (b"", b"", gzip.compress(bytes(10**6)))
    )


def _other_kind(b: bytearray, r: random.Random) -> bytes:
    return r.choice(OTHERS)


SIMPLE: list[Callable[[bytearray, random.Random], bytes]] = [
    *(
        _flip_bit,
        _any_byte,
        _some_bytes,
        _insert,
        _delete,
        _repeat,
        _swap,
        _truncate,
        _append,
        _zeros,
        _large_length,
    ),
    *(_number, _word, _deep),
]
MUTATORS = [
    *SIMPLE,
    _empty,
    _noise,
    _separators,
    _encoding,
    _long_cell,
    _lines,
    _json,
    _members,
    _gzip,
    _other_kind,
]
