"""Benchmark data sets by name."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from aotlab.dataloaders.benchmarks.burst import read_burst
from aotlab.dataloaders.benchmarks.davis import read_davis, read_long_video, read_visor, read_vost
from aotlab.dataloaders.benchmarks.lvos import read_lvos
from aotlab.dataloaders.benchmarks.mose import read_mose, read_mosev2
from aotlab.dataloaders.benchmarks.sav import read_sav
from aotlab.dataloaders.benchmarks.sequences import read_folder, require_folder
from aotlab.dataloaders.benchmarks.youtube_vos import read_youtube_vos
from aotlab.media.labeled_video import Video
from aotlab.utils.errors import InputError, require_known

Reader = Callable[..., list[Video]]
"""reader: (root, split) and options by name to the videos of the split"""


@dataclass(frozen=True)
class DataSet:
    """A data set with its reader and download information."""

    read: Reader
    folder: str | None = None
    """folder below ``datasets/``; None: a root is required"""
    source: str = ""
    """where to download it"""
    layout: str = ""
    """layout of its folder"""
    options: frozenset[str] = frozenset()
    """options of the reader"""
    server: Mapping[str, str] = field(default_factory=dict)
    """splits without public annotations, with their scoring servers"""
    hota: bool = False
    """scored by HOTA from one JSON file"""
    archive_root: str | None = None
    """folder around the sequences in submission archives, "" for the root; None: no server takes PNGs of ids"""


def _davis(year: Literal[2016, 2017]) -> DataSet:
    return DataSet(
        lambda root, split: read_davis(root, year, split),
        "DAVIS",
        "https://davischallenge.org",
        "JPEGImages/480p/<sequence>/00000.jpg, Annotations/480p/<sequence>/00000.png, ImageSets/<year>/<split>.txt",
    )


def _youtube(year: int) -> DataSet:
    return DataSet(
        read_youtube_vos,
        f"YouTubeVOS/{year}",
        f"https://youtube-vos.org (the {year} version)",
        "valid/JPEGImages/<video>/00000.jpg, valid/Annotations/<video>/00000.png, valid/meta.json",
        frozenset({"all_frames"}),
        dict.fromkeys(
            ("val", "valid", "test"), "the challenge's server, linked from https://youtube-vos.org"
        ),
        archive_root="Annotations",
    )


def _lvos(version: int) -> DataSet:
    return DataSet(
        read_lvos,
        f"LVOSv{version}",
        "https://lingyihongfd.github.io/lvos.github.io",
        "valid/JPEGImages/<video>/00000001.jpg, valid/Annotations/<video>/00000001.png, valid/valid_meta.json",
        server={"test": "the challenge's server, linked from https://lingyihongfd.github.io/lvos.github.io"},
        archive_root="Annotations",
    )


DATASETS: dict[str, DataSet] = {
    "davis2016": _davis(2016),
    "davis2017": replace(
        _davis(2017),
        server=dict.fromkeys(
            ("test", "test-dev", "test-challenge"),
            "the DAVIS 2017 server, linked from https://davischallenge.org",
        ),
        archive_root="",
    ),
    "youtubevos2018": _youtube(2018),
    "youtubevos2019": _youtube(2019),
    "vost": DataSet(
        read_vost,
        "VOST",
        "https://www.vostdataset.org",
        "JPEGImages/<sequence>/frame00012.jpg, Annotations/<sequence>/frame00012.png, ImageSets/<split>.txt",
        frozenset({"all_frames"}),
        {"test": "the challenge's server, linked from https://www.vostdataset.org"},
        archive_root="",
    ),
    "visor": DataSet(
        read_visor,
        "VISOR_2022",
        "https://epic-kitchens.github.io/VISOR (converted by its script to the layout of DAVIS)",
        "JPEGImages/480p/<sequence>/*.jpg, Annotations/480p/<sequence>/*.png, ImageSets/2022/<split>.txt",
    ),
    "mose": DataSet(
        read_mose,
        "MOSE",
        "https://henghuiding.github.io/MOSE",
        "valid/JPEGImages/<video>/00000.jpg, valid/Annotations/<video>/00000.png",
        server=dict.fromkeys(
            ("val", "valid", "test"), "the server linked from https://henghuiding.github.io/MOSE"
        ),
        archive_root="",
    ),
    "mosev2": DataSet(
        read_mosev2,
        "MOSEv2",
        "https://mose.video",
        "valid/JPEGImages/<video>/00000.jpg, valid/Annotations/<video>/00000.png, valid/meta.json if there is one",
        server=dict.fromkeys(("val", "valid", "test"), "the server linked from https://mose.video"),
        archive_root="",
    ),
    "lvosv1": _lvos(1),
    "lvosv2": _lvos(2),
    "longvideo": DataSet(
        lambda root, split: read_long_video(root),
        "LongVideo",
        "the page of AFB-URR, https://github.com/xmlyqing00/AFB-URR",
        "JPEGImages/<video>/*.jpg, Annotations/<video>/*.png for the labeled frames",
    ),
    "sav": DataSet(
        read_sav,
        "SA-V",
        "https://ai.meta.com/datasets/segment-anything-video-downloads",
        "sav_val/JPEGImages_24fps/<video>/00000.jpg, sav_val/Annotations_6fps/<video>/<object>/00000.png, "
        "sav_val/sav_val.txt, the same in sav_test",
    ),
    "burst": DataSet(
        read_burst,
        "BURST",
        "https://github.com/Ali2500/BURST-benchmark",
        "frames/val/<source>/<sequence>/*.jpg, val/all_classes.json, the same for train and test",
        frozenset({"all_frames"}),
        hota=True,
    ),
    "folder": DataSet(
        lambda root, split, **options: read_folder(root, **options),
        layout="JPEGImages/<sequence>/*.jpg, Annotations/<sequence>/*.png",
        options=frozenset({"new_objects"}),
    ),
}

DATA_VARIABLE = "AOTLAB_DATA"
"""environment variable: folder of all data sets (default: ``datasets/`` in the working directory)"""


def open_dataset(
    name: str,
    root: Path | None = None,
    split: str = "val",
    *,
    all_frames: bool = False,
    new_objects: bool = False,
) -> list[Video]:
    """Read the videos of a data set's split.

    Args:
        name: key of `DATASETS`, case-insensitive.
        root: folder of the data set; None: `find_default_root`.
        split: name of the split; ignored by "folder" and "longvideo".
        all_frames: YouTube-VOS, VOST: run on all frames, write labeled ones.
        new_objects: folder: later masks may add objects.

    Raises:
        InputError: an unknown name, no root, an option that the data set does not have, or what the reader
            finds wrong.
    """
    key, dataset = find_dataset(name)
    options = {"all_frames": all_frames, "new_objects": new_objects}
    enabled = {option: True for option, value in options.items() if value}
    for option in enabled.keys() - dataset.options:
        supported = ", ".join(key for key, entry in DATASETS.items() if option in entry.options)
        raise InputError(f"--{option.replace('_', '-')}: not for {key}; only for {supported}")
    source = f"; get it from {dataset.source}" if dataset.source else ""
    folder = root if root is not None else find_default_root(key)
    return dataset.read(require_folder(folder, f"{key} as {dataset.layout}{source}"), split, **enabled)


def find_dataset(name: str) -> tuple[str, DataSet]:
    """Return key and data set of a case-insensitive name."""
    key = name.lower()
    require_known(key, DATASETS, f"dataset {name}: unknown data set", f"known are {', '.join(DATASETS)}")
    return key, DATASETS[key]


def find_default_root(name: str) -> Path:
    """Return the folder of a data set for which no root is given.

    The variable AOTLAB_<NAME> comes first, then the data set's folder in AOTLAB_DATA, then in ``datasets/`` of the
    working directory.
    """
    variable = f"AOTLAB_{name.upper()}"
    if os.environ.get(variable):
        return Path(os.environ[variable])
    folder = DATASETS[name].folder
    if folder is None:
        raise InputError(f"dataset {name}: no root; give one or set {variable}")
    return Path(os.environ.get(DATA_VARIABLE) or "datasets") / folder
