"""OpenEXR files: copies of plates with further channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import OpenEXR

from aotlab import sdk
from aotlab.utils.files import writing

STRUCTURE = ("channels", "chunkCount", "compression", "lineOrder", "maxSamplesPerPixel", "name", "tiles", "type")
"""Attributes of the storage of a file, which a copy has its own values of."""


class ExrPart(NamedTuple):
    """A part of a file."""

    name: str
    """Empty in a file of one part."""
    header: dict[str, Any]
    channels: dict[str, np.ndarray]
    """H×W float16, float32 or uint32 of the data window by name."""


FLAT = (OpenEXR.scanlineimage, OpenEXR.tiledimage)
"""Types of parts with one value a pixel."""


def read_exr_parts(path: Path) -> tuple[list[ExrPart], list[str]]:
    """Return the parts of a file with their channels as stored, and the names of deep parts, which are left out.

    Raises `InputError` for a damaged file, and for subsampled channels.
    """
    with (
        sdk.reading(path, "save it again", *sdk.DECODER_ERRORS),
        OpenEXR.File(str(path), separate_channels=True) as file,
    ):
        flat = [part for part in file.parts if part.type() in FLAT]
        for part in flat:
            subsampled = [name for name, item in part.channels.items() if (item.xSampling, item.ySampling) != (1, 1)]
            if subsampled:
                raise ValueError(f"its channels {', '.join(subsampled)} have another size than the image")
        copies = [
            ExrPart(part.name(), copy_header(part.header), {name: item.pixels for name, item in part.channels.items()})
            for part in flat
        ]
        return copies, [part.name() for part in file.parts if part.type() not in FLAT]


def list_exr_channels(path: Path) -> list[str]:
    """Return the names of the channels of all parts."""
    with (
        sdk.reading(path, "save it again", *sdk.DECODER_ERRORS),
        OpenEXR.File(str(path), separate_channels=True, header_only=True) as file,
    ):
        return [channel.name for part in file.parts for channel in part.header["channels"]]


def copy_header(header: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of a header that a copy of its file keeps."""
    opaque = getattr(OpenEXR, "OpaqueAttribute", ())  # earlier than 3.5, unknown types are left out
    return {name: value for name, value in header.items() if name not in STRUCTURE and not isinstance(value, opaque)}


def write_exr(path: Path, parts: Sequence[ExrPart], *, compression: str = "zip") -> None:
    """Write parts of scan lines, whose headers may lack windows, which are then the whole image.

    ``compression``: ``zip``, or ``dwaa``, which changes colors slightly and keeps alpha. Raises `InputError`.
    """
    stored = {"compression": getattr(OpenEXR, f"{compression.upper()}_COMPRESSION"), "type": OpenEXR.scanlineimage}
    with writing(path, RuntimeError), sdk.atomic_path(path) as temporary:
        file = OpenEXR.File([
            OpenEXR.Part(
                part.header | stored,
                {name: np.ascontiguousarray(values) for name, values in part.channels.items()},
                part.name,
            )
            for part in parts
        ])  # fmt: skip
        file.write(str(temporary))
