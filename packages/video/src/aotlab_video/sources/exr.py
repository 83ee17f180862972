"""Reading of OpenEXR files: images and attributes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aotlab.media.images import DECODER_ERRORS
from aotlab.utils.errors import InputError, require_modules
from aotlab.utils.files import reading

MAX_PIXELS = 2**28
"""Largest number of pixels of an image; Pillow has its own limit."""
EXR_REMEDY = "save it again"
PRIMARIES = {
    1: (0.640, 0.330, 0.300, 0.600, 0.150, 0.060, 0.3127, 0.3290),  # BT.709
    9: (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, 0.3127, 0.3290),  # BT.2020
    11: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.3140, 0.3510),  # DCI-P3
    12: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.3127, 0.3290),  # Display P3
}
"""x and y of red, green, blue and white by the number of ITU-T H.273."""
PRIMARIES_TOLERANCE = 0.002
"""Largest difference of a coordinate; files round them to three or four digits."""


def read_primaries(header: Mapping[str, Any]) -> int:
    """Return FFmpeg's number of the ``chromaticities`` of a file: BT.709 if not stated, 2 (unspecified) for others."""
    stated = np.ravel(header.get("chromaticities", PRIMARIES[1]))
    matches = (key for key, values in PRIMARIES.items() if np.abs(stated - values).max() <= PRIMARIES_TOLERANCE)
    return next(matches, 2)


def read_exr(path: Path, layer: str | None = None) -> np.ndarray:
    """Return the display window of a layer of the first part, H×W×C with 1 or 3 channels.

    It is black outside the data window.
    """
    header = read_exr_header(path)
    values = read_exr_colors(path, layer)
    with reading(path, EXR_REMEDY, *DECODER_ERRORS):
        return move_window(values, read_window(header, "dataWindow"), read_window(header, "displayWindow"))


def read_exr_colors(path: Path, layer: str | None = None) -> np.ndarray:
    """Return the data window of a layer of the first part, H×W×C with 1 or 3 channels, as stored.

    ``layer``: None: the one without a name, or else the only one with colors; a file may also have only one channel.
    """
    with reading(path, EXR_REMEDY, *DECODER_ERRORS):
        import OpenEXR

        with OpenEXR.File(str(path), separate_channels=True) as file:
            channels = file.channels()
            if layer is None and len(channels) == 1:
                names = [*channels]
            else:
                layer = _select_layer([*channels], path) if layer is None else layer
                prefix = f"{layer}." if layer else ""
                names = [f"{prefix}{name}" for name in ("RGB" if f"{prefix}R" in channels else "Y")]
            if missing := [name for name in names if name not in channels]:
                raise ValueError(f"no channel {missing[0]} among {', '.join(channels)}")
            return np.stack([channels[name].pixels for name in names], axis=-1)


def _select_layer(channels: Sequence[str], path: Path) -> str:
    """Return the layer with colors: the one without a name, or else the only one; raise `InputError` for several."""
    layers: dict[str, set[str]] = {}
    for name in channels:
        layer, _, channel = name.rpartition(".")
        layers.setdefault(layer, set()).add(channel)
    colored = [name for name, found in layers.items() if {*"RGB"} <= found or ("Y" in found and "X" not in found)]
    if not colored:
        raise ValueError(f"its channels are {', '.join(channels)}; expected R, G, B or Y")
    if "" not in colored and len(colored) > 1:
        raise InputError(f"has the layers {', '.join(colored)}", subject=path, remedy="give one with --layer")
    return "" if "" in colored else colored[0]


def read_exr_header(path: Path) -> dict[str, Any]:
    """Return the attributes of the first part; raise `InputError` for a damaged or too large file."""
    require_modules("OpenEXR")
    import OpenEXR

    with reading(path, EXR_REMEDY, *DECODER_ERRORS):
        with OpenEXR.File(str(path), header_only=True) as file:
            header = dict(file.header())
        for name in ("dataWindow", "displayWindow"):
            start, end = read_window(header, name)
            if math.prod(np.maximum(0, end - start).tolist()) > MAX_PIXELS:
                raise ValueError("too many pixels")
    return header


def read_window(header: Mapping[str, Any], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the first row and column of a window, and those after the last, as int64."""
    start, end = np.array(header[name], np.int64)[:, ::-1] + [[0], [1]]
    return start, end


def move_window(
    values: np.ndarray, window: tuple[np.ndarray, np.ndarray], target: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Return values H×W or H×W×C of a window for another one, 0 outside it."""
    result = np.zeros((*(target[1] - target[0]), *values.shape[2:]), values.dtype)
    start, end = np.maximum(window[0], target[0]), np.minimum(window[1], target[1])
    if (start < end).all():
        inside = tuple(map(slice, start - target[0], end - target[0]))
        result[inside] = values[tuple(map(slice, start - window[0], end - window[0]))]
    return result
