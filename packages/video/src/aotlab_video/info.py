"""Versions and codecs for ``aotlab info``."""

from collections.abc import Iterator

from aotlab.utils.provenance import list_versions
from aotlab_video.extras import LIBRARIES

DECODERS = ("h264", "hevc", "vp9", "libdav1d", "prores", "ffv1")


def describe_libraries() -> Iterator[tuple[str, str]]:
    """Yield the versions of libraries and of FFmpeg in PyAV, and which of the codecs that are used it has."""
    yield from list_versions(LIBRARIES)
    import av

    from aotlab_video.sources.video_writer import H264

    yield "ffmpeg", av.ffmpeg_version_info
    for title, names in (("encoders", (H264.codec,)), ("decoders", DECODERS)):
        yield title, ", ".join(name if name in av.codecs_available else f"no {name}" for name in names)
