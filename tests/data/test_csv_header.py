from pathlib import Path

import numpy as np
import pytest

from tinygrad_ckn.data.csv import read_table
from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.errors import DataError


def read(
    path: Path, *, labelled: bool = False, reading: Reading | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    return read_table(path, labelled=labelled, reading=reading or Reading())[:2]


def write(folder: Path, text: str) -> Path:
    path = folder / "images.csv"
    path.write_text(text, encoding="utf-8", newline="")
    return path


NUMBERED = ",".join(str(i) for i in range(16))
MANGLED = "0," + ",".join(f"0.{i}" for i in range(1, 16))


@pytest.mark.parametrize("first", [NUMBERED, NUMBERED.replace("0,", "", 1) + ",16", MANGLED])
def test_a_first_row_of_numbers_that_may_be_a_header_is_settled_by_the_user(
    tmp_path: Path, first: str
) -> None:
    row = ",".join(str(16 * i if "." not in first else i / 16) for i in range(16))
    path = write(tmp_path, f"{first}\n{row}\n")
    with pytest.raises(
        DataError,
        match=r"row 1: expected a header or an image, got .* say which with argument header",
    ):
        read(path)
    assert len(read(path, reading=Reading(header=True))[0]) == 1
    assert len(read(path, reading=Reading(header=False))[0]) == 2


@pytest.mark.parametrize(
    ("first", "row"),
    [(NUMBERED, "0.5," * 15 + "1"), (NUMBERED, "7," * 15 + "0"), (MANGLED, "255," * 15 + "0")],
)
def test_a_first_row_of_numbers_far_from_the_others_is_a_header(
    tmp_path: Path, first: str, row: str
) -> None:
    assert len(read(write(tmp_path, f"{first}\n{row}\n{row}\n"))[0]) == 2
    labelled = f"{first},0.16" if first == MANGLED else f"0,{first}"
    images, labels = read(write(tmp_path, f"{labelled}\n3,{row}\n3,{row}\n"), labelled=True)
    assert labels is not None
    assert labels.tolist() == [3, 3]
    assert len(images) == 2


def test_the_training_file_decides_on_a_first_row_of_numbers_later(tmp_path: Path) -> None:
    later = f"{NUMBERED}\n" + ",".join(str(16 * i) for i in range(16))
    for header in (True, False):
        train = (f"label,{NUMBERED}\n" if header else "") + "".join(
            f"{i % 2}," + ",".join(str((i * j) % 256) for j in range(16)) + "\n" for i in range(16)
        )
        like = read_table(write(tmp_path, train), labelled=True, reading=Reading())[2]
        assert like.header == header
        assert len(read(write(tmp_path, later), reading=Reading(like=like))[0]) == 2 - header


def test_text_among_the_numbers_of_a_first_row_is_not_a_header(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="row 1, column 3: expected a number, got 'x'"):
        read(write(tmp_path, "1,2,x,4,5\n1,2,3,4,5\n"), labelled=True)


MONOTONE = {
    "from 63": ",".join(map(str, range(63, -1, -1))),
    "rows and columns": ",".join(f"{row}{column}" for row in range(8) for column in range(8)),
    "with points": ",".join(f"{i}.0" for i in range(64)),
    "wavelengths": ",".join(f"{400 + 12.5 * i}" for i in range(64)),
}


@pytest.mark.parametrize("first", MONOTONE.values(), ids=MONOTONE)
@pytest.mark.parametrize("kind", ["bytes", "floats"])
@pytest.mark.parametrize("labelled", [False, True])
def test_numbers_that_rise_or_fall_throughout_are_not_an_image(
    tmp_path: Path, first: str, kind: str, labelled: bool
) -> None:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (20, 64)) if kind == "bytes" else random.random((20, 64))
    cell = "0," if labelled else ""
    path = write(
        tmp_path,
        "\n".join([cell + first] + [cell + ",".join(map(str, row)) for row in pixels.tolist()]),
    )
    try:
        images, _ = read(path, labelled=labelled)
    except DataError as error:
        assert str(error).endswith("say which with argument header")
        images, _ = read(path, labelled=labelled, reading=Reading(header=True))
    assert len(images) == 20


def test_rows_that_all_rise_are_images_and_so_is_one_alone(tmp_path: Path) -> None:
    rising = "\n".join(",".join(map(str, np.arange(16) * step + 1)) for step in range(3, 9))
    assert len(read(write(tmp_path, rising))[0]) == 6
    assert len(read(write(tmp_path, rising.partition("\n")[0]))[0]) == 1
