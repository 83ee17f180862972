"""Outputs for compositing: plates with alpha, mattes as movies, OpenEXR layers and Cryptomatte."""

from __future__ import annotations

import struct
import zlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from aotlab.jobs.output_base import Output, OutputContext, OutputOptions
from aotlab.media import cryptomatte
from aotlab.media.edges import estimate_colors
from aotlab.media.exr import (
    PRIMARIES,
    copy_header,
    find_window,
    move_window,
    read_exr_channels,
    read_exr_colors,
    read_exr_header,
    write_exr,
)
from aotlab.media.high_bit_depth import detect_image_kind
from aotlab.media.plates import BT709, ColorTags, Planes, halve, measure_range
from aotlab.media.results import TrackedFrame
from aotlab.media.timecode import Timecode
from aotlab.media.video_writer import PRORES, PRORES_GRAY, VP9, Encoding, VideoWriter
from aotlab.utils.files import atomic_path, writing

UNKNOWN_TAG = 2
"""FFmpeg's number of unspecified colors."""
CRYPTO_LAYER = "CryptoObject"
"""Name of the layer of a Cryptomatte, which renderers use for objects."""


def read_alphas(tracked: TrackedFrame, context: OutputContext) -> dict[int, np.ndarray]:
    """Return the alpha of every object of the video by id: H×W float32, 0 before its first frame."""
    alphas = dict(zip(tracked.ids, tracked.probabilities, strict=True))
    empty = np.zeros(tracked.labels.shape, np.float32)
    return {object_id: alphas.get(object_id, empty) for object_id in context.list_layers(tracked.ids)}


class AlphaFiles(Output):
    """``<frame>.png``: the plate with the probability of any object as alpha; EXR if the plate has floats.

    Windows and attributes of an EXR plate are kept.
    """

    file_name, description = "alpha", "RGBA images of the depth of the video: PNG, or EXR for EXR"
    bytes_per_pixel = 2.0
    needs_soft = needs_plate = True
    options = ("alpha",)

    def write(self, name: str, tracked: TrackedFrame) -> None:
        plate, alpha = tracked.plate, tracked.alpha
        header, file = describe_frame(self.context, tracked.index), find_exr(self.context, tracked.index)
        if file is None:
            rgb = plate.to_rgb()
        else:
            rgb = read_exr_colors(file)
            rgb = rgb if rgb.shape[2] == 3 else rgb.repeat(3, axis=2)
            alpha = move_window(alpha, find_window(header, "displayWindow"), find_window(header, "dataWindow"))
        kind = self.context.options.alpha
        if kind == "premultiplied":
            rgb = multiply_rgb(estimate_colors(rgb, alpha) if self.context.options.refine_edges else rgb, alpha)
        if rgb.dtype in (np.uint8, np.uint16):
            write_png(self.path / f"{name}.png", rgb, alpha, plate.tags, self.context.source.pixel_aspect, kind)
            return
        values = rgb.astype(np.float16 if rgb.dtype == np.float16 else np.float32)
        channels = {"R": values[..., 0], "G": values[..., 1], "B": values[..., 2], "A": alpha.astype(values.dtype)}
        write_exr(self.path / f"{name}.exr", channels, header | {"aotlab/alpha": kind})


class PlateVideo(Output):
    """Movies of the plate with alpha, with the rate, times, size, colors, time code and sound of the source."""

    encoding: Encoding
    suffix = ".mov"
    folder_name = ""
    """Folder of the movies of single objects."""
    every_frame = needs_soft = needs_plate = True
    options: tuple[str, ...] = ("per_object", "alpha")

    @classmethod
    def find_file_name(cls, options: OutputOptions) -> str:
        return cls.folder_name if options.per_object else cls.file_name

    def __init__(self, path: Path, context: OutputContext) -> None:
        super().__init__(path, context)
        self._writers = dict[Path, VideoWriter]()

    def make_planes(self, tracked: TrackedFrame, alpha: np.ndarray, plate: Planes | None) -> Planes:
        """Return what a movie shows of a frame; ``plate``: the frame, if `needs_plate`."""
        assert plate is not None
        if self.context.options.alpha != "premultiplied":
            return plate
        if self.context.options.refine_edges:
            alphas = [alpha if values.shape == alpha.shape else halve(alpha) for values in plate.values]
            pairs = zip(plate.values, alphas, strict=True)
            plate = plate._replace(values=[estimate_colors(values[..., None], part)[..., 0] for values, part in pairs])
        return plate.multiply(alpha)

    def write(self, name: str, tracked: TrackedFrame) -> None:
        encoding, plate = self.encoding, None
        if self.needs_plate:
            plate = tracked.plate.to_planes(encoding.depth, subsampled=encoding.subsampled)
        alphas = {self.path: tracked.alpha}
        if self.context.options.per_object:
            layers = self.context.list_layers(tracked.ids)
            by_id = read_alphas(tracked, self.context)
            alphas = {self.path / f"{layers[key]}{self.suffix}": alpha for key, alpha in by_id.items()}
        for path, alpha in alphas.items():
            if path not in self._writers:
                self._writers[path] = self._open(path, tracked.index)
            planes = self.make_planes(tracked, alpha, plate)
            self._writers[path].write_planes(planes, alpha if self.needs_plate else None, tracked.time)

    def _open(self, path: Path, index: int) -> VideoWriter:
        source, options = self.context.source, self.context.options
        return VideoWriter(
            path,
            rate=source.rate,
            size=source.size,
            encoding=self.encoding,
            sound=source.sound if self.needs_plate and not options.per_object else None,
            pixel_aspect=source.pixel_aspect,
            timecode=find_timecode(self.context, index),
            comment=f"alpha: {options.alpha}" if self.needs_plate else "",
        )

    def finish(self) -> None:
        for writer in self._writers.values():
            writer.close()

    def discard(self) -> None:
        for writer in self._writers.values():
            writer.drop()


class ProResVideo(PlateVideo):
    file_name, folder_name, description = "alpha.mov", "prores", "ProRes 4444 with alpha"
    bytes_per_pixel, encoding = 2.0, PRORES


class VP9Video(PlateVideo):
    file_name, folder_name, description = "alpha.webm", "vp9", "VP9 with alpha"
    bytes_per_pixel, encoding, suffix = 0.1, VP9, ".webm"


class MatteVideo(PlateVideo):
    """Movies of alpha in gray, without the plate."""

    file_name, folder_name, description = "matte.mov", "matte_mov", "gray ProRes: the probability of any object"
    bytes_per_pixel, encoding = 0.3, PRORES_GRAY
    needs_plate, options = False, ("per_object",)

    def make_planes(self, tracked: TrackedFrame, alpha: np.ndarray, plate: Planes | None) -> Planes:
        depth = self.encoding.depth
        black, span = measure_range(depth, False, is_full=False)
        colors = np.full((alpha.shape[0], (alpha.shape[1] + 1) // 2), 128 << (depth - 8), np.uint16)
        return Planes([(black + alpha * span + 0.5).astype(np.uint16), colors, colors], depth, False, ColorTags())


class ExrFiles(Output):
    """``<frame>.exr``: the plate, unless it is left out, and a layer for each object, such as ``person.1.A``.

    Windows and attributes of an EXR plate are kept, and all its channels. Other plates are stored as floats in which
    white is 1, see `Plate.to_float_rgb`.
    """

    file_name, description = "exr", "OpenEXR: the plate, and a layer with the alpha of each object"
    bytes_per_pixel = 10.0
    needs_soft = needs_plate = True
    modules, options = ("OpenEXR",), ("plate", "compression")

    def write(self, name: str, tracked: TrackedFrame) -> None:
        context = self.context
        header, channels = describe_frame(context, tracked.index), dict[str, np.ndarray]()
        window, file = None, find_exr(context, tracked.index)
        if file is not None:
            header = copy_header(read_exr_header(file)) if context.options.plate else header
            window = (find_window(header, "displayWindow"), find_window(header, "dataWindow"))
        if context.options.plate:
            if file is not None:
                channels = read_exr_channels(file)
            else:
                channels = dict(zip("RGB", np.moveaxis(tracked.plate.to_float_rgb(), -1, 0), strict=True))
        layers = context.list_layers(tracked.ids)
        for object_id, alpha in read_alphas(tracked, context).items():
            moved = alpha if window is None else move_window(alpha, *window)
            channels[f"{layers[object_id]}.A"] = moved.astype(np.float16)
        write_exr(self.path / f"{name}.exr", channels, header, compression=context.options.compression)


class CryptomatteFiles(Output):
    """``<frame>.exr`` with the ids and coverages of all objects, named as the layers of ``exr``."""

    file_name, description, bytes_per_pixel = "cryptomatte", "OpenEXR with Cryptomatte ids of all objects", 1.8
    needs_soft, modules = True, ("OpenEXR",)

    def write(self, name: str, tracked: TrackedFrame) -> None:
        layers = self.context.list_layers(tracked.ids)
        alphas = {layers[key]: alpha for key, alpha in read_alphas(tracked, self.context).items()}
        header = describe_matte(self.context, tracked.index)
        header |= cryptomatte.make_header(CRYPTO_LAYER, [*layers.values()])
        write_exr(self.path / f"{name}.exr", cryptomatte.make_channels(CRYPTO_LAYER, alphas), header)


def find_timecode(context: OutputContext, index: int) -> Timecode | None:
    """Return the time code of a frame; None if the source states none, or if its frame rate varies before the frame."""
    source = context.source
    if source.timecode is None or not (index == 0 or source.has_constant_rate):
        return None
    return source.timecode + index


def find_exr(context: OutputContext, index: int) -> Path | None:
    """Return the EXR file of a frame; None if the frame is stored otherwise."""
    file = context.source.file(index)
    return file if file is not None and detect_image_kind(file) == "exr" else None


def describe_frame(context: OutputContext, index: int) -> dict[str, Any]:
    """Return the attributes of an EXR file of a frame: those of its EXR plate, pixel aspect, frame rate and time code.

    Rate and time code are left out if the frame rate varies. Cryptomattes of the plate are, as they need its channels.
    Wide primaries of a video are its chromaticities.
    """
    import OpenEXR

    source = context.source
    header: dict[str, Any] = {"pixelAspectRatio": float(source.pixel_aspect)}
    if source.has_constant_rate:
        header["framesPerSecond"] = Fraction(source.rate)
        if (code := find_timecode(context, index)) is not None:
            header["timeCode"] = OpenEXR.TimeCode(*code.split(), code.drop, *[False] * 5, *[0] * 8)
    if (file := find_exr(context, index)) is not None:
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
    path: Path, rgb: np.ndarray, alpha: np.ndarray, tags: ColorTags | None, aspect: Fraction, alpha_kind: str
) -> None:
    """Write an RGBA PNG with 8 or 16 bits, its colors (cICP), pixel aspect (pHYs) and the kind of its alpha (tEXt)."""
    import cv2

    codes = (alpha * np.iinfo(rgb.dtype).max).round().astype(rgb.dtype)
    image = np.dstack([rgb[..., ::-1], codes])
    # level 1 is several times faster than the default, for slightly larger files
    content = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
    chunks = {
        b"cICP": bytes([tags.primaries, tags.transfer, 0, 1]) if tags and _has_own_colors(tags) else b"",
        b"pHYs": struct.pack(">IIB", aspect.denominator, aspect.numerator, 0) if aspect != 1 else b"",
        b"tEXt": b"Comment\0alpha: premultiplied" if alpha_kind == "premultiplied" else b"",
    }
    start = 33  # after the signature and the header
    with writing(path), atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(content[:start])
        for kind, data in chunks.items():
            if data:
                file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))
        file.write(content[start:])


def _has_own_colors(tags: ColorTags) -> bool:
    """Return whether colors are stated, and not those of BT.709, which programs take for a PNG without them."""
    return UNKNOWN_TAG not in tags[:2] and tags[:2] != (BT709, BT709)
