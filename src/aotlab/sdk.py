"""Names for plug-ins, integrations and programs on top of aotlab, beyond those of `aotlab` itself; stable as those are.

They are imported when they are first asked for: a command that parses its options loads no NumPy, and a plug-in needs
the libraries of the names that it uses only. None of them loads PyTorch. Type checkers read ``sdk.pyi``.
"""

from __future__ import annotations

from typing import Any

from aotlab import _import_name

_HOMES = {
    "Annotations": "aotlab.media.regions",
    "AttributeTable": "aotlab.media.regions",
    "Bytes": "aotlab.tools.cli.types",
    "FrameSource": "aotlab.media.frames",
    "IMAGE_SUFFIXES": "aotlab.media.matching",
    "InUseError": "aotlab.utils.locks",
    "LostFlags": "aotlab.video.outputs",
    "MEMORY_POLICIES": "aotlab.configs.schema:POLICIES",
    "MaskWriter": "aotlab.media.annotations",
    "Output": "aotlab.video.outputs",
    "PALETTE": "aotlab.media.masks",
    "PRECISIONS": "aotlab.configs.training",
    "ParsedRegion": "aotlab.media.regions",
    "PromptSegmenter": "aotlab.engine.prompting.segmenter",
    "Region": "aotlab.media.regions",
    "TrackResult": "aotlab.video.track",
    "TrackedFrame": "aotlab.video.outputs",
    "VideoFrames": "aotlab.media.video",
    "VideoInfo": "aotlab.media.regions",
    "VideoLabels": "aotlab.video.labels",
    "VideoReader": "aotlab.media.video",
    "VideoWriter": "aotlab.media.video_writer",
    "atomic_path": "aotlab.utils.files",
    "command": "aotlab.tools.cli.command",
    "compute_fingerprint": "aotlab.media.video",
    "decode_image": "aotlab.media.images",
    "decode_runs": "aotlab.media.regions",
    "encode_runs": "aotlab.media.regions",
    "fill_polygons": "aotlab.media.regions",
    "find_mask_writer": "aotlab.media.annotations",
    "find_output": "aotlab.video.outputs",
    "format_coco": "aotlab.media.coco",
    "list_mask_formats": "aotlab.utils.plugins",
    "list_outputs": "aotlab.video.outputs",
    "list_videos": "aotlab.video.job_list",
    "load_masks": "aotlab.video.inputs",
    "load_segmenter": "aotlab.engine.prompting.load",
    "locked": "aotlab.utils.locks",
    "match_regions": "aotlab.media.regions",
    "merge_class_ids": "aotlab.video.labels",
    "order_names": "aotlab.media.matching",
    "parse_classes": "aotlab.media.coco",
    "parse_coco": "aotlab.media.coco",
    "parse_runs": "aotlab.media.regions",
    "read_annotations": "aotlab.media.annotations",
    "read_tracker_options": "aotlab.tools.cli.options",
    "region_similarity": "aotlab.evaluation.metrics",
    "require_size": "aotlab.media.regions",
    "store_frame": "aotlab.media.frames",
    "to_detections": "aotlab.video.outputs",
    "tracker_options": "aotlab.tools.cli.options",
    "video_argument": "aotlab.tools.cli.options",
}
"""name to the module that owns it"""
__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    """Import a name from the module that owns it."""
    return _import_name(name, __name__, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
