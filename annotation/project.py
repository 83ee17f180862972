"""Project folder of a video: given and tracked masks, and the list of objects."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from aotlab.annotation.live import Frames
from aotlab.annotation.store import LabelStore
from aotlab.media.images import IMAGE_SUFFIXES, parse_levels
from aotlab.utils.errors import InputError
from aotlab.utils.files import file_mode, read_text, real_path, require_writable, write_text
from aotlab.utils.locks import LOCK, locked_output
from aotlab.utils.versioned_json import Kind, reading_own

EDGE_BYTES = 64 * 2**10
"""number of bytes read at the start and at the end of a file"""


def source_of(path: Path) -> dict[str, Any]:
    """Return the fingerprint of a video, a stack or a folder of images, as stored in a project.

    ``bytes`` is the size of the file or of all images, ``digest`` that of the size and of the first and last bytes; for
    a folder also of names and sizes of its images. Raises `InputError` if it cannot be read.
    """
    digest = hashlib.blake2b(digest_size=16)
    try:
        if not path.is_dir():
            return {"bytes": _add(digest, path), "digest": digest.hexdigest()}
        images = sorted(
            (entry for entry in os.scandir(path) if Path(entry.name).suffix.lower() in IMAGE_SUFFIXES),
            key=lambda entry: entry.name,
        )
        sizes = [entry.stat().st_size for entry in images]
        for entry, size in zip(images, sizes, strict=True):
            digest.update(f"{entry.name}\0{size}\0".encode(errors="surrogateescape"))
        for entry in (*images[:1], *images[-1:]):
            _add(digest, Path(entry.path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    return {"bytes": sum(sizes), "digest": digest.hexdigest()}


def _add(digest: hashlib.blake2b, path: Path) -> int:
    """Add a file's size and its first and last bytes to a digest; return the size."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        digest.update(f"{size}\0".encode())
        digest.update(file.read(EDGE_BYTES))
        file.seek(max(0, size - EDGE_BYTES))
        digest.update(file.read(EDGE_BYTES))
    return size


SUFFIX = ".aotlab"
FILE = "project.json"
PROJECT = Kind("project", 2, "restore it from a copy, or delete it")


def locate(path: Path, project: Path | None = None) -> tuple[Path, Path]:
    """Return the video and the project folder for a path: a video, a folder of frames, or a project.

    A project is named after the whole file name, so that ``take.mp4`` and ``take.mov`` have one each.

    Raises:
        InputError: a project whose video is missing.
    """
    if not (path / FILE).is_file():
        whole = real_path(path)
        folder = whole.parent / (whole.name + SUFFIX)
        early = whole.parent / (whole.stem + SUFFIX)  # name in earlier versions
        if (
            not (folder / FILE).is_file()
            and (early / FILE).is_file()
            and Path(read_head(early / FILE).path).name == whole.name
        ):
            folder = early
        return path, project or folder
    stored = read_head(path / FILE).path
    for video_path in (path / stored, real_path(path).parent / Path(stored).name):
        if file_mode(video_path):
            return real_path(video_path), path
    raise InputError(
        f"{path}: its video {Path(stored).name} is missing; put it beside the project, or open it with project {path}"
    )


class Head(NamedTuple):
    """Contents of ``project.json``."""

    path: str
    """path of the video, relative to the project"""
    frames: int
    size: tuple[int, int]
    """height and width"""
    levels: tuple[float, float] | None
    """values of black and white, if given"""
    source: dict[str, Any] | None
    """fingerprint of the video; None in projects of earlier versions"""
    objects: bytes
    """JSON of `ObjectList.snapshot`"""


def read_head(path: Path) -> Head:
    """Read ``project.json``; raises `InputError` if it is damaged, with the remedy."""
    with reading_own(path, PROJECT):
        tree = json.loads(read_text(path, PROJECT.remedy))
        if tree["version"] == 1:
            for item in tree["objects"]["items"]:
                item["id"] = item.pop("number")
        elif tree["version"] != PROJECT.version:
            raise ValueError(
                f"version {str(tree['version'])[:20]}; this program reads 1 and {PROJECT.version}"
            )
        video = tree["video"]
        height, width = video["size"]
        return Head(
            os.fspath(Path(video["path"])), video["frames"], (height, width), parse_levels(video.get("levels")),
            video.get("source"), json.dumps(tree["objects"]).encode(),
        )  # fmt: skip


def levels_of(folder: Path) -> tuple[float, float] | None:
    """Return the levels of a project; None if unset."""
    return read_head(folder / FILE).levels if (folder / FILE).is_file() else None


class Project:
    """Files of a project; each is replaced as a whole the moment it changes.

    Args:
        folder: created if missing.
        same_video: open the project although the video's content has changed.

    Raises:
        InputError: the folder cannot be written, is in use by another process, or belongs to another video.
    """

    def __init__(self, folder: Path, frames: Frames, *, same_video: bool = False) -> None:
        self.folder = require_writable(folder)
        _refuse_links(folder)
        self._held = ExitStack()
        self._held.enter_context(locked_output(folder))
        self._frames = frames
        self.objects: bytes | None = None
        """stored objects; None in a new project"""
        try:
            self._source = None if frames.live else source_of(frames.path)
            if (folder / FILE).is_file():
                self._check(read_head(folder / FILE), same_video=same_video)
            self.given, self.tracked = (
                LabelStore(folder / name, frames.size) for name in ("given", "tracked")
            )
        except BaseException:
            self.close()
            raise

    def save_objects(self, objects: bytes) -> None:
        """Store the objects; raise `InputError` if the file cannot be written."""
        frames = self._frames
        path = os.path.relpath(real_path(frames.path), real_path(self.folder)).replace(os.sep, "/")
        video: dict[str, Any] = {"path": path, "frames": frames.count, "size": list(frames.size)}
        if frames.levels is not None and not frames.levels.found:
            video["levels"] = [frames.levels.low, frames.levels.high]
        if self._source is not None:
            video["source"] = self._source
        content = {"version": PROJECT.version, "video": video, "objects": json.loads(objects)}
        write_text(self.folder / FILE, json.dumps(content, indent=1) + "\n")
        self.objects = objects

    def close(self) -> None:
        """Release the lock."""
        self._held.close()

    def _check(self, head: Head, *, same_video: bool) -> None:
        """Load the objects of this video's project."""
        for key, here in (("frames", self._frames.count), ("size", self._frames.size)):
            if getattr(head, key) != here:
                raise InputError(
                    f"{self.folder}: made for a video with {key} {str(getattr(head, key))[:40]}, this one has {here}; "
                    "choose another folder as project"
                )
        self.objects = head.objects
        if not self._is_of_this(head):
            if not same_video:
                raise InputError(
                    f"{self.folder}: made for another video ({head.path[:200]}), whose content differs from this "
                    "one's; choose another folder as project, or set same_video if the masks fit"
                )
            self.save_objects(self.objects)

    def _is_of_this(self, head: Head) -> bool:
        """Whether the project was made for this video: by its content, in early projects by its name."""
        if self._source is None:
            return True
        if head.source is not None:
            return head.source == self._source
        return Path(head.path).name == real_path(self._frames.path).name


def _refuse_links(folder: Path) -> None:
    """Raise `InputError` for links, through which files outside the project would be written."""
    for name in (LOCK, FILE, "given", "tracked", "export"):
        if (folder / name).is_symlink():
            raise InputError(f"{folder / name}: is a link; replace it by a file or folder")
