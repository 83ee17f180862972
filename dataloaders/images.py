"""Reading pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from utils.errors import InputError


def read_image(path: Path) -> np.ndarray:
    """Read a picture as H×W×3 uint8 RGB; its content decides the format, not the name's ending.

    Raises:
        InputError: missing, or not a whole picture.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such picture; expected a JPEG or PNG file")
    try:
        with Image.open(path) as image:
            return np.array(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(
            f"{path}: cannot be read as a picture ({error}); expected a whole JPEG or PNG"
        ) from error
