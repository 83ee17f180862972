"""Results of a benchmark, from which the writers of this package make a submission."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from aotlab.dataloaders.benchmarks.labeled_video import Video
from aotlab.dataloaders.benchmarks.object_masks import read_labels
from aotlab.media.masks import list_ids
from aotlab.media.rle import Size


class SubmittedResults(NamedTuple):
    """Results of all videos of a split."""

    folder: Path
    """Folder with ``<sequence>/<frame>.png``, or with a folder of results for each sequence."""
    videos: Sequence[Video]
    root: Path
    """Folder of the data set."""
    split: str


def read_size_and_ids(video: Video) -> tuple[Size, list[int]]:
    """Return the (height, width) of a video's results and its object ids; reads the reference masks."""
    masks = [read_labels(mask) for mask in video.reference_masks.values()]
    ids = {item.object_id for item in video.objects} or set[int]().union(*map(list_ids, masks))
    return video.output_size(*masks[0].shape), sorted(ids)
