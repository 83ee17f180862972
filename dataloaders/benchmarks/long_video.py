"""Reader of the Long-Time Video set (AFB-URR): one object, few labels. Layout as distributed."""

from __future__ import annotations

from pathlib import Path

from aotlab.dataloaders.benchmarks.metadata import from_first_mask, video_names
from aotlab.dataloaders.benchmarks.sequences import Video, list_frames, masks_of, read_each


def long_video(root: Path) -> list[Video]:
    """Read the videos, sorted by name; the first labelled frame is given, the others are scored."""

    def read(name: str) -> Video:
        every = list_frames(root / "JPEGImages" / name)
        frames, annotations = from_first_mask(name, every, root / "Annotations" / name)
        given = masks_of(frames[:1], annotations)
        return Video(name, frames, masks=given, annotations=annotations, merge_ids=True)

    return read_each(video_names(root), read)
