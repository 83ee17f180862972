"""Videos that occur in two sets, also under other names."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from aotlab.dataloaders.labeled_video import Video
from aotlab.utils.digests import digest_files

NUM_SAMPLED = 5
"""Number of frames of a video that are looked for; a video is shared if most of them are, as a black frame may be."""


def find_shared_videos(videos: Sequence[Video], frames: Iterable[Path]) -> list[tuple[Video, Path]]:
    """Return the videos most of whose frames are also in ``frames``, by the content of files, each with one of these.

    Only files of the same size are read. Unreadable files are skipped.
    """
    samples = [sample_frames(video) for video in videos]
    sizes = {size for sampled in samples for size in map(_measure, sampled)} - {None}
    candidates = [path for path in dict.fromkeys(frames) if _measure(path) in sizes]
    if not candidates:
        return []
    files = [path for sampled in samples for path in sampled]
    owners = dict(zip(digest_files(candidates, "comparing data"), candidates, strict=True))
    digests = dict(zip(files, digest_files(files, "comparing data"), strict=True))
    owners.pop("", None)
    shared = []
    for video, sampled in zip(videos, samples, strict=True):
        found = [owners[digests[path]] for path in sampled if digests[path] in owners]
        if 2 * len(found) > len(sampled):
            shared.append((video, found[len(found) // 2]))
    return shared


def sample_frames(video: Video) -> list[Path]:
    """Return at most `NUM_SAMPLED` frames of a video, evenly spaced."""
    count = min(NUM_SAMPLED, len(video.frames))
    return [video.frames[round(position)] for position in np.linspace(0, len(video.frames) - 1, count)]


def _measure(path: Path) -> int | None:
    """Return the size of a file in bytes; None if it is missing."""
    try:
        return path.stat().st_size
    except OSError:
        return None
