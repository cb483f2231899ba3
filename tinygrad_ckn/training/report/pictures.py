"""Pictures as PNG in data: addresses, encoded by Pillow."""

from __future__ import annotations

import io
from base64 import b64encode
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.errors import MissingPackageError, how_to_install


def png_address(pixels: NDArray[Any]) -> str:
    """Return a picture as a data: address.

    Parameters
    ----------
    pixels
        uint8 (H, W, 1 or 3), grey or coloured.

    Raises
    ------
    MissingPackageError
        If Pillow is not installed.

    Examples
    --------
    >>> png_address(np.zeros((2, 2, 1), np.uint8))[:28]
    'data:image/png;base64,iVBORw'
    """
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            f"report: expected Pillow to draw pictures, got no such package; "
            f"{how_to_install('report')}"
        ) from error
    grey = pixels.shape[2] == 1
    content = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels[..., 0] if grey else pixels)).save(
        content, format="png", optimize=True
    )
    return f"data:image/png;base64,{b64encode(content.getvalue()).decode()}"
