"""The entries of a list of clips: clips of a tracked batch, or the videos in a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from aotlab import InputError
from aotlab.sdk import IMAGE_SUFFIXES, JOB_RECORD, list_videos
from aotlab_studio.document.folder import PROJECT_FILE, PROJECT_SUFFIX
from aotlab_studio.document.results import read_job
from aotlab_studio.review.batch import rank_entries

REVIEW_FILE = "review.json"


def read_entries(folder: Path) -> list[dict[str, Any]] | None:
    """Return the reviews of a batch, the most urgent first, or the videos of a folder; None for any other path.

    Raises:
        InputError: the reviews are damaged or cannot be read.
    """
    path = folder / REVIEW_FILE
    try:
        reviews = msgspec.json.decode(path.read_bytes()) if path.exists() else None
        if isinstance(reviews, list):  # the review of a single video is an object
            return rank_entries([entry for entry in reviews if entry["status"] != "waiting"])
    except (OSError, TypeError, ValueError, KeyError) as error:
        raise InputError(
            f"{path}: not the reviews of a list ({error}); write it again with aotlab track --summarize"
        ) from error
    return [
        {"name": path.name, "video": str(path), "frames": None, "objects": 0, "error": "", "rate": "25"}
        for path in _list_videos(folder)
    ] or None


def locate_video(folder: Path, entry: Mapping[str, Any]) -> Path:
    """Return the video of an entry, also after the results in the folder were moved together with it, or beside it."""
    job = read_job(folder / entry["name"])
    return Path((job.video if job is not None else entry["video"]) or "")


def _list_videos(folder: Path) -> list[Path]:
    """Return the videos of a folder.

    None in a project, in the results of a video, or in a folder of images other than masks beside videos.
    """
    if not folder.is_dir() or any((folder / name).exists() for name in (PROJECT_FILE, JOB_RECORD)):
        return []
    videos = [path for path in list_videos(folder) if path.suffix != PROJECT_SUFFIX]
    masks = {f"{path.stem}.png" for path in videos}
    images = {path.name for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES}
    return videos if images <= masks else []
