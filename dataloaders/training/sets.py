"""Training sets by kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from aotlab.configs.paths import setting_path
from aotlab.configs.training import DataConfig, SourceConfig
from aotlab.dataloaders.training import image_sets, video_sets
from aotlab.dataloaders.training.labelled import ImageSet, VideoSet
from aotlab.dataloaders.training.set_files import read_split
from aotlab.utils.errors import InputError

__all__ = ["READERS", "data_root", "open_set", "read_split"]

READERS: dict[str, Callable[[Path, SourceConfig], ImageSet | VideoSet]] = {
    "static": image_sets.static,
    "coco": image_sets.coco,
    "ecssd": image_sets.ecssd,
    "msra10k": image_sets.msra10k,
    "pascal_s": image_sets.pascal_s,
    "voc2012": image_sets.voc2012,
    "video": video_sets.video,
    "davis": video_sets.davis,
    "youtube_vos": video_sets.youtube_vos,
    "vost": video_sets.vost,
}


def open_set(root: Path, source: SourceConfig) -> ImageSet | VideoSet:
    """Find the images or videos of one source below ``root``.

    Raises:
        InputError: no such folder, another layout, or no labelled data.
    """
    folder = root / source.path
    if not folder.is_dir():
        raise InputError(
            f"{folder}: no such folder; expected a training set of kind {source.kind} (see data.root)"
        )
    return READERS[source.kind](folder, source)


def data_root(data: DataConfig) -> Path:
    """Return the folder of all sources.

    Raises:
        InputError: not set, or no such folder.
    """
    if data.root is None:
        raise InputError("data.root: not set; give the folder that holds the training sets, data.root=FOLDER")
    root = setting_path(data.root)
    if not root.is_dir():
        raise InputError(f"data.root={root}: no such folder; give the folder that holds the training sets")
    return root
