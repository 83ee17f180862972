"""Video object segmentation with AOT, DeAOT, MSDeAOT and AOST: ``from aotlab import Tracker``.

The public names are resolved when they are first asked for, so that ``import aotlab`` loads no PyTorch, and neither
does a program that only scores masks (`aotlab.evaluation`).
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aotlab.configs.schema import POLICIES as MEMORY_POLICIES
    from aotlab.configs.training import PRECISIONS
    from aotlab.engine.export.runtime import load_exported_tracker
    from aotlab.engine.tracking.options import TrackerOptions
    from aotlab.engine.tracking.prediction import Prediction
    from aotlab.engine.tracking.segmenters import load_segmenter
    from aotlab.engine.tracking.tracker import Tracker
    from aotlab.evaluation.measures import region_similarity
    from aotlab.media.annotations import MaskWriter, find_mask_writer, read_annotations
    from aotlab.media.coco import format_coco, parse_classes, parse_coco
    from aotlab.media.frames import FrameSource, store_frame
    from aotlab.media.images import decode_image
    from aotlab.media.masks import PALETTE, read_mask, write_mask
    from aotlab.media.matching import order_names
    from aotlab.media.overlay import draw_overlay as draw_overlay
    from aotlab.media.prompt import Prompt
    from aotlab.media.regions import (
        Annotations,
        AttributeTable,
        ParsedRegion,
        Region,
        VideoInfo,
        decode_runs,
        encode_runs,
        fill_polygons,
        match_regions,
        parse_runs,
        require_size,
    )
    from aotlab.media.video import VideoFrames, VideoReader, open_frames
    from aotlab.media.video_writer import VideoWriter
    from aotlab.networks.weights.zoo import list_models, load_model
    from aotlab.tools.cli.options import BYTES, add_tracker_options, read_tracker_options
    from aotlab.tools.cli.parser import CommandParser
    from aotlab.utils.errors import InputError
    from aotlab.utils.files import atomic_path, digest_samples
    from aotlab.utils.locks import InUseError, locked
    from aotlab.utils.plugins import list_mask_formats
    from aotlab.video.class_list import share_classes
    from aotlab.video.inputs import load_masks
    from aotlab.video.job import Job, JobRecord, read_job_record, run_job
    from aotlab.video.outputs import (
        LostFlags,
        Output,
        TrackedFrame,
        find_output,
        list_outputs,
        to_detections,
    )
    from aotlab.video.track import TrackOptions, TrackResult, track

__version__ = "0.2.0"

# src/aotlab links to the folders at the top of the repository; a checkout without symbolic links finds them there
_checkout = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
if not os.path.isdir(f"{__path__[0]}/utils") and os.path.isfile(f"{_checkout}/pyproject.toml"):
    __path__.append(_checkout)

_HOMES = {
    "Annotations": ("aotlab.media.regions", "Annotations"),
    "AttributeTable": ("aotlab.media.regions", "AttributeTable"),
    "BYTES": ("aotlab.tools.cli.options", "BYTES"),
    "CommandParser": ("aotlab.tools.cli.parser", "CommandParser"),
    "FrameSource": ("aotlab.media.frames", "FrameSource"),
    "InUseError": ("aotlab.utils.locks", "InUseError"),
    "InputError": ("aotlab.utils.errors", "InputError"),
    "Job": ("aotlab.video.job", "Job"),
    "JobRecord": ("aotlab.video.job", "JobRecord"),
    "LostFlags": ("aotlab.video.outputs", "LostFlags"),
    "MEMORY_POLICIES": ("aotlab.configs.schema", "POLICIES"),
    "MaskWriter": ("aotlab.media.annotations", "MaskWriter"),
    "Output": ("aotlab.video.outputs", "Output"),
    "PALETTE": ("aotlab.media.masks", "PALETTE"),
    "PRECISIONS": ("aotlab.configs.training", "PRECISIONS"),
    "ParsedRegion": ("aotlab.media.regions", "ParsedRegion"),
    "Prediction": ("aotlab.engine.tracking.prediction", "Prediction"),
    "Prompt": ("aotlab.media.prompt", "Prompt"),
    "Region": ("aotlab.media.regions", "Region"),
    "TrackOptions": ("aotlab.video.track", "TrackOptions"),
    "TrackResult": ("aotlab.video.track", "TrackResult"),
    "TrackedFrame": ("aotlab.video.outputs", "TrackedFrame"),
    "Tracker": ("aotlab.engine.tracking.tracker", "Tracker"),
    "TrackerOptions": ("aotlab.engine.tracking.options", "TrackerOptions"),
    "VideoFrames": ("aotlab.media.video", "VideoFrames"),
    "VideoInfo": ("aotlab.media.regions", "VideoInfo"),
    "VideoReader": ("aotlab.media.video", "VideoReader"),
    "VideoWriter": ("aotlab.media.video_writer", "VideoWriter"),
    "add_tracker_options": ("aotlab.tools.cli.options", "add_tracker_options"),
    "atomic_path": ("aotlab.utils.files", "atomic_path"),
    "decode_image": ("aotlab.media.images", "decode_image"),
    "decode_runs": ("aotlab.media.regions", "decode_runs"),
    "digest_samples": ("aotlab.utils.files", "digest_samples"),
    "draw_overlay": ("aotlab.media.overlay", "draw_overlay"),
    "encode_runs": ("aotlab.media.regions", "encode_runs"),
    "fill_polygons": ("aotlab.media.regions", "fill_polygons"),
    "find_mask_writer": ("aotlab.media.annotations", "find_mask_writer"),
    "find_output": ("aotlab.video.outputs", "find_output"),
    "format_coco": ("aotlab.media.coco", "format_coco"),
    "list_mask_formats": ("aotlab.utils.plugins", "list_mask_formats"),
    "list_models": ("aotlab.networks.weights.zoo", "list_models"),
    "list_outputs": ("aotlab.video.outputs", "list_outputs"),
    "load_exported_tracker": ("aotlab.engine.export.runtime", "load_exported_tracker"),
    "load_masks": ("aotlab.video.inputs", "load_masks"),
    "load_model": ("aotlab.networks.weights.zoo", "load_model"),
    "load_segmenter": ("aotlab.engine.tracking.segmenters", "load_segmenter"),
    "locked": ("aotlab.utils.locks", "locked"),
    "match_regions": ("aotlab.media.regions", "match_regions"),
    "open_frames": ("aotlab.media.video", "open_frames"),
    "order_names": ("aotlab.media.matching", "order_names"),
    "parse_classes": ("aotlab.media.coco", "parse_classes"),
    "parse_coco": ("aotlab.media.coco", "parse_coco"),
    "parse_runs": ("aotlab.media.regions", "parse_runs"),
    "read_annotations": ("aotlab.media.annotations", "read_annotations"),
    "read_job_record": ("aotlab.video.job", "read_job_record"),
    "read_mask": ("aotlab.media.masks", "read_mask"),
    "read_tracker_options": ("aotlab.tools.cli.options", "read_tracker_options"),
    "region_similarity": ("aotlab.evaluation.measures", "region_similarity"),
    "require_size": ("aotlab.media.regions", "require_size"),
    "run_job": ("aotlab.video.job", "run_job"),
    "share_classes": ("aotlab.video.class_list", "share_classes"),
    "store_frame": ("aotlab.media.frames", "store_frame"),
    "to_detections": ("aotlab.video.outputs", "to_detections"),
    "track": ("aotlab.video.track", "track"),
    "write_mask": ("aotlab.media.masks", "write_mask"),
}
"""public name to the module that owns it and its name there"""

__all__ = [
    "BYTES",
    "MEMORY_POLICIES",
    "PALETTE",
    "PRECISIONS",
    "Annotations",
    "AttributeTable",
    "CommandParser",
    "FrameSource",
    "InUseError",
    "InputError",
    "Job",
    "JobRecord",
    "LostFlags",
    "MaskWriter",
    "Output",
    "ParsedRegion",
    "Prediction",
    "Prompt",
    "Region",
    "TrackOptions",
    "TrackResult",
    "TrackedFrame",
    "Tracker",
    "TrackerOptions",
    "VideoFrames",
    "VideoInfo",
    "VideoReader",
    "VideoWriter",
    "__version__",
    "add_tracker_options",
    "atomic_path",
    "decode_image",
    "decode_runs",
    "digest_samples",
    "draw_overlay",
    "encode_runs",
    "fill_polygons",
    "find_mask_writer",
    "find_output",
    "format_coco",
    "list_mask_formats",
    "list_models",
    "list_outputs",
    "load_exported_tracker",
    "load_masks",
    "load_model",
    "load_segmenter",
    "locked",
    "match_regions",
    "open_frames",
    "order_names",
    "parse_classes",
    "parse_coco",
    "parse_runs",
    "read_annotations",
    "read_job_record",
    "read_mask",
    "read_tracker_options",
    "region_similarity",
    "require_size",
    "run_job",
    "share_classes",
    "store_frame",
    "to_detections",
    "track",
    "write_mask",
]


def __getattr__(name: str) -> Any:
    """Import a public name from the module that owns it.

    Raises:
        AttributeError: unknown name.
    """
    if name not in _HOMES:
        raise AttributeError(f"module 'aotlab' has no attribute {name!r}; it has {', '.join(__all__)}")
    module, attribute = _HOMES[name]
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
