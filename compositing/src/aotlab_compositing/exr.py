"""OpenEXR files: copies of plates with further channels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR

from aotlab import sdk
from aotlab.internal import writing

STRUCTURE = ("channels", "chunkCount", "compression", "lineOrder", "maxSamplesPerPixel", "name", "tiles", "type")
"""Attributes of the storage of a file, which a copy has its own values of."""


def read_exr_channels(path: Path) -> dict[str, np.ndarray]:
    """Return all channels of the first part by name, H×W of the data window, as stored; not subsampled ones."""
    with (
        sdk.reading(path, "save it again", *sdk.DECODER_ERRORS),
        OpenEXR.File(str(path), separate_channels=True) as file,
    ):
        channels = file.channels()
        if subsampled := [name for name, item in channels.items() if (item.xSampling, item.ySampling) != (1, 1)]:
            raise ValueError(f"its channels {', '.join(subsampled)} have another size than the image")
        return {name: channel.pixels for name, channel in channels.items()}


def copy_header(header: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of a header that a copy of its file keeps."""
    opaque = getattr(OpenEXR, "OpaqueAttribute", ())  # earlier than 3.5, unknown types are left out
    return {name: value for name, value in header.items() if name not in STRUCTURE and not isinstance(value, opaque)}


def write_exr(
    path: Path, channels: Mapping[str, np.ndarray], header: Mapping[str, Any], *, compression: str = "zip"
) -> None:
    """Write one scan-line part; raise `InputError` on failure.

    Args:
        path: the file.
        channels: H×W float16, float32 or uint32 of the data window by name.
        header: attributes; without windows, both are the whole image.
        compression: ``zip``, or ``dwaa``, which changes colors slightly and keeps alpha.
    """
    attributes = {**header, "compression": getattr(OpenEXR, f"{compression.upper()}_COMPRESSION")}
    attributes["type"] = OpenEXR.scanlineimage
    with writing(path, RuntimeError), sdk.atomic_path(path) as temporary:
        file = OpenEXR.File(attributes, {name: np.ascontiguousarray(values) for name, values in channels.items()})
        file.write(str(temporary))
