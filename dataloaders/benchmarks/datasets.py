"""Benchmark data sets by name."""

import inspect
import os
import pkgutil
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from aotlab.dataloaders.benchmarks.labeled_video import Video
from aotlab.utils.errors import InputError, require, require_choice


@dataclass(frozen=True)
class Dataset:
    """A data set with its options and download information."""

    name: str
    reader: str
    """``module:function`` of this package, from the root, the split if it has splits, and options to its videos."""
    folder: str | None
    """Folder below ``datasets/``; None: a root is required."""
    layout: str
    source: str = ""
    """Web page of the download."""
    license: str = ""
    """License of the data, or of annotations and data; empty: see `source`."""
    server_splits: tuple[str, ...] = ()
    """Splits without public masks, which a server scores."""
    submission: str | None = None
    """Format of its submissions, a key of `SUBMISSION_FORMATS`; None: its results are not submitted."""

    def load_reader(self) -> tuple[Callable[..., list[Video]], Collection[str]]:
        """Import the reader, which loads NumPy; return it and the names of its parameters."""
        reader = pkgutil.resolve_name(f"{__package__}.{self.reader}")
        return reader, inspect.signature(reader).parameters


RESEARCH_ONLY = "annotations CC BY 4.0, data for non-commercial research only"
DAVIS = "https://davischallenge.org"
DAVIS_LAYOUT = (
    "JPEGImages/480p/<sequence>/00000.jpg, Annotations/480p/<sequence>/00000.png, ImageSets/<year>/<split>.txt"
)
VALID_LAYOUT = "valid/JPEGImages/<video>/00000.jpg, valid/Annotations/<video>/00000.png"
VALID_SPLITS = ("val", "valid", "test")

_DATASETS = [
    Dataset("davis2016", "davis:read_davis2016", "DAVIS", DAVIS_LAYOUT, DAVIS),
    Dataset(
        "davis2017", "davis:read_davis", "DAVIS", DAVIS_LAYOUT, DAVIS,
        server_splits=("test", "test-dev", "test-challenge"), submission="archive",
    ),
    *(
        Dataset(
            f"youtubevos{year}", "youtube_vos:read_youtube_vos", f"YouTubeVOS/{year}",
            f"{VALID_LAYOUT}, valid/meta.json", "https://youtube-vos.org", "annotations CC BY 4.0",
            server_splits=VALID_SPLITS, submission="annotations_archive",
        )
        for year in (2018, 2019)
    ),
    Dataset(
        "vost", "vost:read_vost", "VOST",
        "JPEGImages/<sequence>/frame00012.jpg, Annotations/<sequence>/frame00012.png, ImageSets/<split>.txt",
        "https://www.vostdataset.org",
        server_splits=("test",), submission="archive",
    ),
    Dataset(
        "visor", "davis:read_visor", "VISOR_2022",
        "JPEGImages/480p/<sequence>/*.jpg, Annotations/480p/<sequence>/*.png, ImageSets/2022/<split>.txt",
        "https://epic-kitchens.github.io/VISOR (convert it with aotlab convert-visor)",
        submission="visor",
    ),
    Dataset(
        "mose", "mose:read_mose", "MOSE", VALID_LAYOUT, "https://henghuiding.github.io/MOSE", "CC BY-NC-SA 4.0",
        server_splits=VALID_SPLITS, submission="archive",
    ),
    Dataset(
        "mosev2", "mose:read_mosev2", "MOSEv2", f"{VALID_LAYOUT}, optionally valid/meta.json", "https://mose.video",
        "CC BY-NC-SA 4.0", server_splits=VALID_SPLITS, submission="archive",
    ),
    *(
        Dataset(
            f"lvosv{version}", "lvos:read_lvos", f"LVOSv{version}",
            "valid/JPEGImages/<video>/00000001.jpg, valid/Annotations/<video>/00000001.png, valid/valid_meta.json",
            "https://lingyihongfd.github.io/lvos.github.io", RESEARCH_ONLY,
            server_splits=("test",), submission="annotations_archive",
        )
        for version in (1, 2)
    ),
    Dataset(
        "longvideo", "vost:read_long_video", "LongVideo",
        "JPEGImages/<video>/*.jpg, Annotations/<video>/*.png for the labeled frames",
        "the page of AFB-URR, https://github.com/xmlyqing00/AFB-URR",
    ),
    Dataset(
        "sav", "sav:read_sav", "SA-V",
        "sav_val/JPEGImages_24fps/<video>/00000.jpg, sav_val/Annotations_6fps/<video>/<object>/00000.png, "
        "sav_val/sav_val.txt, the same in sav_test",
        "https://ai.meta.com/datasets/segment-anything-video-downloads", "CC BY 4.0",
        submission="sav",
    ),
    Dataset("folder", "sequences:read_folder", None, "JPEGImages/<sequence>/*.jpg, Annotations/<sequence>/*.png"),
]  # fmt: skip
DATASETS = {dataset.name: dataset for dataset in _DATASETS}


def open_dataset(
    name: str, root: Path | None = None, split: str = "val", *, all_frames: bool = False, new_objects: bool = False
) -> list[Video]:
    """Read the videos of a data set's split.

    Args:
        name: key of `DATASETS`.
        root: folder of the data set; None: `find_default_root`.
        split: name of the split, for data sets that have splits.
        all_frames: YouTube-VOS, VOST: track all frames, write labeled ones.
        new_objects: folder: later masks may add objects.

    Raises:
        InputError: there is no root, the data set lacks an option, or its files are missing or wrong.
    """
    require_choice(name, DATASETS, "dataset")
    dataset = DATASETS[name]
    source = f"; get it from {dataset.source}" if dataset.source else ""
    folder = root if root is not None else find_default_root(name)
    elsewhere = "; or give its folder as --root, or the folder above as AOTLAB_DATA" if root is None else ""
    remedy = f"expected {name} as {dataset.layout}{source}{elsewhere}"
    require(folder.is_dir(), "no such folder", subject=folder, remedy=remedy)
    read, parameters = dataset.load_reader()
    options = {"all_frames": all_frames, "new_objects": new_objects}
    enabled = {option: True for option, value in options.items() if value}
    for option in enabled:
        supported = [other.name for other in _DATASETS if option in other.load_reader()[1]]
        require(
            name in supported,
            f"{name} has no such option",
            subject=f"--{option.replace('_', '-')}",
            remedy=f"only {', '.join(supported)}",
        )
    has_splits = "split" in parameters
    require(
        has_splits or split == "val", f"{name} has no splits", subject=f"--split {split}", remedy="leave the option out"
    )
    return read(folder, split, **enabled) if has_splits else read(folder, **enabled)


def select_videos(videos: Sequence[Video], names: Sequence[str]) -> list[Video]:
    """Return the videos of these names, in the data set's order; all without names."""
    known = [video.name for video in videos]
    for name in names:
        require_choice(name, known, "sequence")
    return [video for video in videos if not names or video.name in names]


def find_default_root(name: str) -> Path:
    """Return the folder of a data set for which no root is given: below AOTLAB_DATA, or ``datasets/`` if unset."""
    folder = DATASETS[name].folder
    if folder is None:
        raise InputError("no folder", subject=f"dataset {name}", remedy="give one with --root")
    return Path(os.environ.get("AOTLAB_DATA") or "datasets") / folder
