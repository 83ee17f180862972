"""Outputs for compositing: plates with alpha, mattes, movies, OpenEXR layers and Cryptomatte."""

from __future__ import annotations

import struct
import zlib
from abc import abstractmethod
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import OpenEXR
from PIL import Image

import aotlab_video
from aotlab import sdk
from aotlab.utils.files import writing
from aotlab_compositing import cryptomatte
from aotlab_compositing.edges import estimate_colors, require_pymatting, shape_edges
from aotlab_compositing.exr import ExrPart, copy_header, read_exr_parts, write_exr
from aotlab_compositing.layers import describe_renamed, find_exr, read_alphas
from aotlab_compositing.planes import make_planes, multiply_planes
from aotlab_compositing.plates import Planes, fill_frame, read_float_rgb, read_rgb
from aotlab_video import (
    BT709,
    PRIMARIES,
    ColorTags,
    OutputContext,
    TrackedFrame,
    VideoEncoding,
    VideoWriter,
    move_window,
    read_exr_colors,
    read_exr_header,
    read_window,
)

UNKNOWN_TAG = 2
"""FFmpeg's number of unspecified colors."""
CRYPTO_LAYER = "CryptoObject"
"""Name of the layer of a Cryptomatte, which renderers use for objects."""
PRORES = VideoEncoding("prores_ks", "yuva444p10le", {"profile": "4444"})
DEPTH = 10
"""Bits of a value in ProRes."""


class MatteOutput(aotlab_video.Output):
    """Output of the probabilities at edges, confined to the surroundings of masks or refined."""

    needs_soft, needs_image = True, False

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        if options["refine_edges"]:
            self.needs_soft, self.needs_image = False, True
            require_pymatting()

    def write(self, frame: TrackedFrame) -> None:
        self.write_soft(shape_edges(frame, self.options["refine_edges"]))

    @abstractmethod
    def write_soft(self, frame: TrackedFrame) -> None:
        """Write the next frame, with its final edges."""


class MatteFiles(MatteOutput):
    """``<id>/<frame>.png``: probability of the object in gray, from its first tracked frame on."""

    file_name, description = "mattes16", "one folder of gray PNGs per object, 16 bits"
    per_object = True

    def write_soft(self, frame: TrackedFrame) -> None:
        for object_id, probability in zip(frame.ids, frame.probabilities, strict=True):
            image = Image.fromarray((probability * 65535).round().astype(np.uint16))
            with sdk.atomic_path(self.path / str(object_id) / f"{frame.name}.png") as temporary:
                image.save(temporary, format="PNG", compress_level=1)


class AlphaFiles(MatteOutput):
    """``<frame>.png``: the plate with the probability of any object as alpha; EXR if the plate has floats.

    Windows and attributes of an EXR plate are kept.
    """

    file_name, description = "alpha", "RGBA images of the depth of the video: PNG, or EXR for EXR"
    needs_image = True

    def write_soft(self, frame: TrackedFrame) -> None:
        plate, alpha = frame.plate, frame.alpha
        header, file = describe_frame(self.context, frame.index), find_exr(self.context.source, frame.index)
        if file is None:
            rgb = read_rgb(plate)
        else:
            rgb = read_exr_colors(file, self.context.source.options.layer)
            rgb = rgb if rgb.shape[2] == 3 else rgb.repeat(3, axis=2)
            alpha = move_window(alpha, read_window(header, "displayWindow"), read_window(header, "dataWindow"))
        kind = self.options["alpha"]
        if kind == "premultiplied":
            rgb = multiply_rgb(estimate_colors(rgb, alpha) if self.options["refine_edges"] else rgb, alpha)
        if rgb.dtype in (np.uint8, np.uint16):
            write_png(self.path / f"{frame.name}.png", rgb, alpha, plate.tags, self.context.source.pixel_aspect, kind)
            return
        values = rgb.astype(np.float16 if rgb.dtype == np.float16 else np.float32)
        channels = {"R": values[..., 0], "G": values[..., 1], "B": values[..., 2], "A": alpha.astype(values.dtype)}
        write_exr(self.path / f"{frame.name}.exr", [ExrPart("", header | {"aotlab/alpha": kind}, channels)])


class ProResVideo(MatteOutput):
    """Movies of the plate with alpha, with the rate, times, size, colors and time code of the source."""

    file_name, description = "alpha.mov", "ProRes 4444 with alpha"
    needs_image = True

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self._writers = dict[Path, VideoWriter]()
        self.per_object = options["per_object"]
        if self.per_object:
            self.file_name = "prores"

    def _multiply(self, planes: Planes, alpha: np.ndarray) -> Planes:
        """Return the planes of a frame multiplied by alpha."""
        if self.options["refine_edges"]:
            colors = [estimate_colors(values[..., None], alpha)[..., 0] for values in planes.values]
            planes = planes._replace(values=colors)
        return multiply_planes(planes, alpha)

    def write_soft(self, frame: TrackedFrame) -> None:
        plate = make_planes(frame.plate, DEPTH)
        alphas = {self.path: frame.alpha}
        if self.options["per_object"]:
            layers = read_alphas(frame, self.context)
            alphas = {self.path / f"{layer}.mov": alpha for layer, alpha in layers.items()}
        for path, alpha in alphas.items():
            if path not in self._writers:
                self._writers[path] = self._make_writer(path, frame.index)
            planes = self._multiply(plate, alpha) if self.options["alpha"] == "premultiplied" else plate
            codes = (alpha * (2**DEPTH - 1)).round()
            image = fill_frame(planes._replace(values=[*planes.values, codes]), PRORES.pixel_format)
            self._writers[path].write_image(image, frame.time, planes.tags)

    def _make_writer(self, path: Path, index: int) -> VideoWriter:
        source, options = self.context.source, self.options
        code = find_timecode(self.context, index)
        return VideoWriter(
            path,
            rate=source.rate,
            size=source.size,
            encoding=PRORES,
            pixel_aspect=source.pixel_aspect,
            timecode="" if code is None else str(code),
            comment=f"alpha: {options['alpha']}",
        )

    def finish(self) -> None:
        for writer in self._writers.values():
            writer.close()

    def discard(self) -> None:
        for writer in self._writers.values():
            writer.drop()


class ExrFiles(MatteOutput):
    """``<frame>.exr``: the plate, unless it is left out, and a layer for each object, such as ``person.1.A``.

    The first part of an EXR plate gets the layers; its windows and attributes are kept, and all channels of all parts
    but deep ones. Other plates are stored as floats in which white is 1, see `read_float_rgb`.
    """

    file_name, description = "exr", "OpenEXR: the plate, and a layer with the alpha of each object"
    needs_image = True

    def open(self, path: Path, context: OutputContext) -> None:
        super().open(path, context)
        self._left_out = list[str]()

    def write_soft(self, frame: TrackedFrame) -> None:
        context, has_plate = self.context, not self.options["no_plate"]
        header, file = describe_frame(context, frame.index), find_exr(context.source, frame.index)
        window, parts = None, [ExrPart("", header, {})]
        if file is not None:
            window = (read_window(header, "displayWindow"), read_window(header, "dataWindow"))
            if has_plate:
                parts, self._left_out = read_exr_parts(file)
        elif has_plate:
            parts[0].channels.update(zip("RGB", np.moveaxis(read_float_rgb(frame.plate), -1, 0), strict=True))
        for layer, alpha in read_alphas(frame, context).items():
            moved = alpha if window is None else move_window(alpha, *window)
            parts[0].channels[f"{layer}.A"] = moved.astype(np.float16)
        write_exr(self.path / f"{frame.name}.exr", parts, compression=self.options["compression"])

    def finish(self) -> str | None:
        left_out = f"without the deep parts {', '.join(self._left_out)}" if self._left_out else ""
        texts = filter(None, (describe_renamed(self.context), left_out))
        return "; ".join(f"exr: {text}" for text in texts) or None


class CryptomatteFiles(MatteOutput):
    """``<frame>.exr`` with the ids and coverages of all objects, named as the layers of ``exr``."""

    file_name, description = "cryptomatte", "OpenEXR with Cryptomatte ids of all objects"

    def write_soft(self, frame: TrackedFrame) -> None:
        layers = read_alphas(frame, self.context)
        header = describe_matte(self.context, frame.index) | cryptomatte.make_header(CRYPTO_LAYER, [*layers])
        write_exr(
            self.path / f"{frame.name}.exr", [ExrPart("", header, cryptomatte.make_channels(CRYPTO_LAYER, layers))]
        )


def find_timecode(context: OutputContext, index: int) -> aotlab_video.Timecode | None:
    """Return the time code of a frame; None if the source states none, or if its frame rate varies before the frame."""
    source = context.source
    if source.timecode is None or not (index == 0 or source.has_constant_rate):
        return None
    return source.timecode + index


def describe_frame(context: OutputContext, index: int) -> dict[str, Any]:
    """Return the attributes of an EXR file of a frame: those of its EXR plate, pixel aspect, frame rate and time code.

    Rate and time code are left out if the frame rate varies. Cryptomattes of the plate are, as they need its channels.
    Wide primaries of a video are its chromaticities.
    """
    source = context.source
    header: dict[str, Any] = {"pixelAspectRatio": float(source.pixel_aspect)}
    if source.has_constant_rate:
        header["framesPerSecond"] = Fraction(source.rate)
        if (code := find_timecode(context, index)) is not None:
            header["timeCode"] = OpenEXR.TimeCode(*code.split(), code.drop, *[False] * 5, *[0] * 8)
    if (file := find_exr(source, index)) is not None:
        stated = copy_header(read_exr_header(file))
        header |= {name: value for name, value in stated.items() if not name.startswith("cryptomatte/")}
    elif source.color_tags[0] != BT709 and source.color_tags[0] in PRIMARIES:  # EXR has BT.709 if it states none
        header["chromaticities"] = PRIMARIES[source.color_tags[0]]
    return header


def describe_matte(context: OutputContext, index: int) -> dict[str, Any]:
    """Return the attributes of `describe_frame` for an EXR file with the display window of the plate."""
    header = describe_frame(context, index)
    if "displayWindow" in header:
        header["dataWindow"] = header["displayWindow"]
    return header


def multiply_rgb(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Return H×W×3 RGB multiplied by alpha, in the type of the colors."""
    values = rgb.astype(np.float32) * alpha[..., None]
    return (values.round() if rgb.dtype.kind in "iu" else values).astype(rgb.dtype)


def write_png(
    path: Path, rgb: np.ndarray, alpha: np.ndarray, tags: ColorTags, aspect: Fraction, alpha_kind: str
) -> None:
    """Write an RGBA PNG with 8 or 16 bits, its colors (cICP), pixel aspect (pHYs) and the kind of its alpha (tEXt)."""
    codes = (alpha * np.iinfo(rgb.dtype).max).round().astype(rgb.dtype)
    image = np.dstack([rgb[..., ::-1], codes])
    # level 1 is several times faster than the default, for slightly larger files
    content = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
    chunks = {
        b"cICP": bytes([tags.primaries, tags.transfer, 0, 1]) if _has_own_colors(tags) else b"",
        b"pHYs": struct.pack(">IIB", aspect.denominator, aspect.numerator, 0) if aspect != 1 else b"",
        b"tEXt": b"Comment\0alpha: premultiplied" if alpha_kind == "premultiplied" else b"",
    }
    start = 33  # after the signature and the header
    with writing(path), sdk.atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(content[:start])
        for kind, data in chunks.items():
            if data:
                file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))
        file.write(content[start:])


def _has_own_colors(tags: ColorTags) -> bool:
    """Return whether colors are stated, and not those of BT.709, which programs take for a PNG without them."""
    return UNKNOWN_TAG not in tags[:2] and tags[:2] != (BT709, BT709)
