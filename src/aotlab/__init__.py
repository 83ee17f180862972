"""Video object segmentation with AOT, DeAOT, MSDeAOT, PAOT and AOST: ``from aotlab import Tracker``.

``__init__.pyi`` lists the public names. They are imported when they are first asked for, so that ``import aotlab``
loads no PyTorch. `aotlab.sdk` has the names for plug-ins and programs on top of these.
"""

from typing import Any

import lazy_loader

__version__ = "0.3.0"
MOVED = (
    "Annotations", "AttributeTable", "ColorTags", "FramePrompt", "FrameSource", "GroupKey", "Job", "MaskFormat",
    "MaskWriter", "ObjectClasses", "Output", "OutputContext", "OutputOption", "ParsedFile", "ParsedRegion", "Plate",
    "Region", "RegionParser", "Results", "RunOptions", "SourceOptions", "Timecode", "TrackResult", "TrackedFrame",
    "VideoEncoding", "VideoInfo", "VideoWriter", "find_mask_writer", "has_results", "list_mask_formats",
    "make_output", "match_regions", "open_frames", "read_annotations", "render",
    "require_different_images", "require_same_frame", "require_size", "run_job", "select_video", "track",
)  # fmt: skip
"""Names that `aotlab` and `aotlab.sdk` had up to version 0.3, and that `aotlab_video` has."""

_import_name, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def require_not_moved(name: str) -> None:
    """Raise `ImportError` that says where a name is if it is one of `MOVED`."""
    if name in MOVED:
        place = "pip install ./packages/video in a checkout installs it"
        raise ImportError(f"{name} is in aotlab_video: from aotlab_video import {name}; {place}", name=name)


def __getattr__(name: str) -> Any:
    require_not_moved(name)
    return _import_name(name)
