"""DAVIS 2016 and 2017, semi-supervised.

Objects are ids 1 to K, where K is the largest id of the first annotation. The first and the last annotated frame are
not scored. Void pixels of an annotation (255 in 8 bits) are background. For DAVIS 2016 all ids are merged into one, and
white beside gray values, as in soft masks, is refused. Source: Pont-Tuset et al. 2017 and the public evaluator.
"""

from dataclasses import dataclass
from pathlib import Path

from aotlab.dataloaders.archives import Archive
from aotlab.dataloaders.labeled_video import Video
from aotlab.dataloaders.layouts import read_davis
from aotlab.evaluation.archive import SubmittedResults, write_archive
from aotlab.evaluation.benchmark import Benchmark

ARCHIVE = Archive(
    "https://data.vision.ee.ethz.ch/csergi/share/davis/DAVIS-2017-trainval-480p.zip", 832_766_765,
    "e3d0b5b77c3d031b000a19e0e25e3e2cac65d183755601bc2cf066df1a2aa492", frames={"val": 1999},
)  # fmt: skip
"""DAVIS 2017; size and digest are those of TensorFlow Datasets."""


@dataclass(frozen=True)
class DAVIS2016(Benchmark):
    """DAVIS 2016: one object for each sequence."""

    layout = "JPEGImages/480p/<sequence>/00000.jpg, Annotations/480p/<sequence>/00000.png, ImageSets/<year>/<split>.txt"
    source = "https://davischallenge.org"
    folder = "DAVIS"
    labels_every_frame = True

    def read_videos(self, root: Path, split: str) -> list[Video]:
        return read_davis(root, split, year="2016")


@dataclass(frozen=True)
class DAVIS2017(Benchmark):
    """DAVIS 2017: several objects, and splits that a server scores."""

    layout = DAVIS2016.layout
    source = DAVIS2016.source
    folder = DAVIS2016.folder
    archive = ARCHIVE
    server_splits = ("test", "test-dev", "test-challenge")
    submission_suffix = ".zip"
    labels_every_frame = True

    def read_videos(self, root: Path, split: str) -> list[Video]:
        return read_davis(root, split)

    def write_submission(self, results: SubmittedResults, output: Path) -> int:
        return write_archive(results, output)
