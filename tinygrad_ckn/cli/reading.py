"""Options that say how files of images are to be read, for all commands that read some."""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeAlias

import typer

READING = "Reading images"


def _image_shape(text: str) -> tuple[int, ...]:
    """Return the sizes in a text, 3,32,32 or 3x32x32."""
    if not re.fullmatch(r"[0-9]+([x,][0-9]+){1,2}", text):
        raise typer.BadParameter(f"expected C,H,W or H,W, got {text!r}")
    return tuple(int(size) for size in re.split("[x,]", text))


ImageShape: TypeAlias = Annotated[
    Any,
    typer.Option(
        parser=_image_shape,
        metavar="C,H,W",
        rich_help_panel=READING,
        help="Channels, height and width of each image; by default rows of pixels are grey squares.",
    ),
]
ChannelsLast: TypeAlias = Annotated[
    bool | None,
    typer.Option(
        "--channels-last/--channels-first",
        rich_help_panel=READING,
        help="The order of pixels in .npz, .npy and .csv files: (H, W, C), or (C, H, W).",
    ),
]
Header: TypeAlias = Annotated[
    bool | None,
    typer.Option(
        "--header/--no-header",
        rich_help_panel=READING,
        help="Whether a .csv file begins with a header; needed for one of numbers.",
    ),
]
Scale: TypeAlias = Annotated[
    float | None,
    typer.Option(
        rich_help_panel=READING,
        help="What pixels are divided by; by default 255 for integers and 1 for floats.",
    ),
]
