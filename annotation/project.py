"""A project is a folder next to its video: what was given, what was tracked, and the objects' names."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from aotlab.annotation.frames import FrameAccess
from aotlab.annotation.source import source_of
from aotlab.annotation.store import LabelStore
from aotlab.media.levels import read_levels
from aotlab.utils.errors import InputError
from aotlab.utils.files import atomic_path, file_mode, read_text, real_path, require_writable
from aotlab.utils.locks import LOCK, locked_output

SUFFIX = ".aotlab"
FILE = "project.json"
VERSION = 1


def locate(path: Path, project: Path | None = None) -> tuple[Path, Path]:
    """The video and the project folder for a path that a user gives: a video, a folder of frames, or a project.

    A project is named after the whole file name, so that ``take.mp4`` and ``take.mov`` have one each.

    Raises:
        InputError: a project whose video is missing.
    """
    if not (path / FILE).is_file():
        whole = real_path(path)
        folder = whole.parent / (whole.name + SUFFIX)
        early = whole.parent / (whole.stem + SUFFIX)  # as projects were named at first
        if not (folder / FILE).is_file() and (early / FILE).is_file() and _stored_name(early) == whole.name:
            folder = early
        return path, project or folder
    stored = _stored_path(path)
    if stored is None:
        raise InputError(f"{path / FILE}: names no video; open the video itself with --project {path}")
    for video_path in (path / stored, real_path(path).parent / Path(stored).name):
        if file_mode(video_path):
            return real_path(video_path), path
    raise InputError(
        f"{path}: its video {Path(stored).name} is missing; put it beside the project, or open it with --project {path}"
    )


def _stored_path(folder: Path) -> str | None:
    """The video's path in a project, relative to its folder; None if unset."""
    video = _read(folder / FILE).get("video", {})
    stored = video.get("path") if isinstance(video, dict) else None
    return stored if isinstance(stored, str) and stored else None


def _stored_name(folder: Path) -> str | None:
    stored = _stored_path(folder)
    return None if stored is None else Path(stored).name


def levels_of(folder: Path) -> tuple[float, float] | None:
    """What is black and white in the frames of a project, as it was stated there; None where it was not."""
    video = _read(folder / FILE).get("video") if (folder / FILE).is_file() else None
    stored = video.get("levels") if isinstance(video, dict) else None
    return read_levels(stored)


class Project:
    """Files of a project; each is replaced as a whole the moment it changes.

    Args:
        folder: made if it is missing.
        frames: the video.
        same_video: open it although the video's content is not the one the project was made for.

    Raises:
        InputError: the folder cannot be written, is in use by another process, or belongs to another video.
    """

    def __init__(self, folder: Path, frames: FrameAccess, *, same_video: bool = False) -> None:
        self.folder = require_writable(folder)
        _refuse_links(folder)
        self._held = ExitStack()
        self._held.enter_context(locked_output(folder))
        self._frames = frames
        self.given = LabelStore(folder / "given", frames.size)
        self.tracked = LabelStore(folder / "tracked", frames.size)
        self.objects: bytes | None = None
        """the objects as they were stored; None in a new project"""
        try:
            self._source = None if frames.live else source_of(frames.path).as_json()
            if (folder / FILE).is_file():
                self._check(_read(folder / FILE), same_video=same_video)
        except BaseException:
            self.close()
            raise

    def save_objects(self, objects: bytes) -> None:
        """Store the objects; raises `InputError` where the file cannot be written."""
        content = json.dumps({**self._head(), "objects": json.loads(objects)}, indent=1)
        with atomic_path(self.folder / FILE) as temporary:
            temporary.write_text(content + "\n", encoding="utf-8")
        self.objects = objects

    def close(self) -> None:
        """Let others open it."""
        self._held.close()

    def _head(self) -> dict[str, Any]:
        """What the file says of the video."""
        frames = self._frames
        path = os.path.relpath(real_path(frames.path), real_path(self.folder)).replace(os.sep, "/")
        video: dict[str, Any] = {"path": path, "frames": frames.count, "size": list(frames.size)}
        if frames.levels is not None and not frames.levels.found:
            video["levels"] = [frames.levels.low, frames.levels.high]
        if self._source is not None:
            video["source"] = self._source
        return {"version": VERSION, "video": video}

    def _check(self, read: dict[str, Any], *, same_video: bool) -> None:
        """Load the objects of a project of this video."""
        if read.get("version") != VERSION:
            raise InputError(
                f"{self.folder}: a project of version {read.get('version')}, this program reads {VERSION}"
            )
        video = read.get("video")
        if not isinstance(video, dict):
            raise InputError(f"{self.folder / FILE}: names no video; restore or delete it")
        for key in ("frames", "size"):
            if video.get(key) != self._head()["video"][key]:
                raise InputError(
                    f"{self.folder}: made for a video with {key} {str(video.get(key))[:40]}, this one has "
                    f"{self._head()['video'][key]}; give another folder with --project"
                )
        self.objects = json.dumps(read.get("objects")).encode()
        if not self._is_of_this(video):
            if not same_video:
                raise InputError(
                    f"{self.folder}: made for another video ({str(video.get('path'))[:200]}), whose content differs "
                    "from this one's; give another folder with --project, or --same-video if the masks fit"
                )
            self.save_objects(self.objects)

    def _is_of_this(self, video: dict[str, Any]) -> bool:
        """Whether the stored content is this video's; projects that stored none are known by the video's name."""
        if self._source is None:
            return True
        if "source" in video:
            return bool(video["source"] == self._source)
        return Path(str(video.get("path"))).name == real_path(self._frames.path).name


def _read(path: Path) -> dict[str, Any]:
    try:
        read = json.loads(read_text(path, "restore it"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a readable project ({error}); restore or delete it") from error
    if not isinstance(read, dict):
        raise InputError(f"{path}: not a project; restore or delete it")
    return read


def _refuse_links(folder: Path) -> None:
    """Refuse links in the project of somebody else, which would lead writing elsewhere."""
    for name in (LOCK, "given", "tracked"):
        if (folder / name).is_symlink():
            raise InputError(f"{folder / name}: a link, which a project does not have; remove it")
