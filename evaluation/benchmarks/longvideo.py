"""Long-Time Video: few labeled frames, scored as one object as in DAVIS 2016."""

from dataclasses import dataclass, replace
from pathlib import Path

from aotlab.dataloaders import sequences
from aotlab.dataloaders.labeled_video import Video
from aotlab.dataloaders.layouts import make_late_video
from aotlab.evaluation.benchmark import Benchmark


@dataclass(frozen=True)
class LongVideo(Benchmark):
    """Long-Time Video of AFB-URR; there are no splits."""

    layout = "JPEGImages/<video>/*.jpg, Annotations/<video>/*.png for the labeled frames"
    source = "the page of AFB-URR, https://github.com/xmlyqing00/AFB-URR"
    folder = "LongVideo"
    has_splits = False

    def read_videos(self, root: Path, split: str) -> list[Video]:
        """Read all videos, sorted by name; the first labeled frame is given."""

        def read(name: str) -> Video:
            frames = sequences.list_frames(root / "JPEGImages" / name)
            return replace(make_late_video(name, frames, root / "Annotations" / name), merge_ids=True)

        return sequences.read_videos(root, sequences.list_subfolders(root / "JPEGImages"), read)
