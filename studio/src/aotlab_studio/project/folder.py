"""Project folder of a video: given and tracked masks, and the list of objects."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from aotlab import InputError
from aotlab.sdk import AttributeTable, digest_samples
from aotlab_studio.files import LEASE, LOCK, FolderLock, write_bytes
from aotlab_studio.project.label_store import LabelStore
from aotlab_studio.project.objects import Snapshot
from aotlab_studio.protocol import ClipStatus
from aotlab_studio.video import Frames

PROJECT_SUFFIX = ".aotlab"
PROJECT_FILE = "project.json"
FORMAT_VERSION = 3
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".exr")
"""files of a folder of frames that its fingerprint covers"""

Count = Annotated[int, Meta(ge=0, le=2**31)]


class StoredVideo(Struct, omit_defaults=True):
    """The video of a project."""

    path: str
    """relative to the project"""
    frames: Count
    size: tuple[Count, Count]
    """height and width"""
    levels: tuple[float, float] | None = None
    """values of black and white, if given"""
    source: dict[str, Any] | None = None
    """fingerprint as `compute_fingerprint`; None in projects of earlier versions"""


class ProjectHeader(Struct):
    """Contents of ``project.json``."""

    version: int
    video: StoredVideo
    objects: Snapshot
    corrections: list[Count] = []
    """frames whose given masks still have to propagate, oldest first"""
    classes: dict[str, Count] = {}
    """class ids by class name, as in loaded masks"""
    status: ClipStatus = "open"
    note: str = ""
    """note on the status"""
    person: str = ""
    """who changed the status last; empty: unknown"""
    attributes: AttributeTable = {}
    """attributes of the objects, as in loaded masks"""


def read_header(path: Path) -> ProjectHeader:
    """Read ``project.json``; raise `InputError` if it is damaged."""
    try:
        tree = msgspec.json.decode(path.read_bytes())
        if tree["version"] not in range(1, FORMAT_VERSION + 1):
            raise ValueError(f"version {str(tree['version'])[:20]}; this program reads 1 to {FORMAT_VERSION}")
        for item in tree["objects"]["items"] if tree["version"] < FORMAT_VERSION else ():
            item["color"] = item.pop("colour")
            if tree["version"] == 1:
                item["id"] = item.pop("number")
        return msgspec.convert(tree, ProjectHeader, str_keys=True)
    except Exception as error:  # damaged files cause errors of any kind
        raise InputError(
            f"{path}: not a usable project ({str(error)[:200]}); restore it from a copy, or delete it"
        ) from error


def locate_project(path: Path, project: Path | None = None) -> tuple[Path, Path]:
    """Return the video and the project folder for a path: a video, a folder of frames, or a project.

    A project is named after the whole file name, so that ``take.mp4`` and ``take.mov`` have one each.

    Raises:
        InputError: a project whose video is missing.
    """
    if not (path / PROJECT_FILE).is_file():
        real = Path(os.path.realpath(path))
        folder, early = real.with_name(real.name + PROJECT_SUFFIX), real.with_name(real.stem + PROJECT_SUFFIX)
        if (
            not (folder / PROJECT_FILE).is_file() and (early / PROJECT_FILE).is_file()
        ):  # name in earlier versions
            folder = early if Path(read_header(early / PROJECT_FILE).video.path).name == real.name else folder
        return path, project or folder
    stored = read_header(path / PROJECT_FILE).video.path
    for video in (path / stored, Path(os.path.realpath(path)).parent / Path(stored).name):
        if os.path.exists(video):
            return Path(os.path.realpath(video)), path
    raise InputError(
        f"{path}: its video {Path(stored).name} is missing; put it beside the project, or open it with project {path}"
    )


def read_levels(folder: Path) -> tuple[float, float] | None:
    """Return the levels of a project; None if unset."""
    return read_header(folder / PROJECT_FILE).video.levels if (folder / PROJECT_FILE).is_file() else None


class Project:
    """Files of a project; each is replaced as a whole the moment it changes.

    Args:
        folder: created if missing.
        same_video: open the project although the video's content has changed.

    Raises:
        InputError: the folder cannot be written, is in use by another process, or belongs to another video.
    """

    def __init__(self, folder: Path, frames: Frames, *, same_video: bool = False) -> None:
        self.folder, self._frames = folder, frames
        for name in (
            LOCK,
            LEASE,
            PROJECT_FILE,
            "given",
            "tracked",
            "export",
            "history",
            "versions",
        ):  # would write files outside the project
            if (folder / name).is_symlink():
                raise InputError(f"{folder / name}: is a link; replace it by a file or folder")
        self.lock = FolderLock(folder)
        self.objects: bytes | None = None
        """stored objects; None in a new project"""
        self.corrections: list[int] = []
        """frames whose given masks still have to propagate, oldest first"""
        self.classes: dict[str, int] = {}
        """class ids by class name, as in loaded masks; stored with the objects"""
        self.attributes: AttributeTable = {}
        """attributes of the objects, as in loaded masks; stored with the objects"""
        self.status: ClipStatus = "open"
        self.note = self.person = ""
        """note on the status, and who changed it last; stored with the objects"""
        try:
            self._source = None if frames.live else compute_fingerprint(frames.path)
            if (folder / PROJECT_FILE).is_file():
                self._load(read_header(folder / PROJECT_FILE), same_video=same_video)
            self.given, self.tracked = (
                LabelStore(folder / name, frames.size) for name in ("given", "tracked")
            )
        except BaseException:
            self.close()
            raise

    def save_objects(self, objects: bytes) -> None:
        """Store the objects; raise `InputError` if the file cannot be written."""
        frames = self._frames
        path = os.path.relpath(os.path.realpath(frames.path), os.path.realpath(self.folder)).replace(
            os.sep, "/"
        )
        video = StoredVideo(path, frames.count, frames.size, source=self._source)
        if frames.levels is not None and not frames.levels.estimated:
            video.levels = (frames.levels.low, frames.levels.high)
        header = ProjectHeader(
            FORMAT_VERSION,
            video,
            msgspec.json.decode(objects, type=Snapshot),
            self.corrections,
            self.classes,
            self.status,
            self.note,
            self.person,
            self.attributes,
        )
        content = msgspec.json.encode(header)
        write_bytes(self.folder / PROJECT_FILE, msgspec.json.format(content, indent=1) + b"\n")
        self.objects = objects

    def close(self) -> None:
        """Release the lock."""
        self.lock.release()

    def _load(self, head: ProjectHeader, *, same_video: bool) -> None:
        """Load the objects; raise `InputError` if the project is not of this video."""
        video, frames = head.video, self._frames
        for key, stored, here in (("frames", video.frames, frames.count), ("size", video.size, frames.size)):
            if stored != here:
                raise InputError(
                    f"{self.folder}: made for a video with {key} {stored}, this one has {here}; "
                    "choose another folder as project"
                )
        self.objects = msgspec.json.encode(head.objects)
        self.classes = dict(head.classes)
        self.attributes = head.attributes
        self.corrections = [index for index in head.corrections if index < frames.count]
        self.status, self.note, self.person = head.status, head.note, head.person
        same_name = Path(video.path).name == Path(os.path.realpath(frames.path)).name
        known = video.source is not None and "samples" in video.source
        if frames.live or (video.source == self._source if known else same_name):
            return
        if not same_video:
            raise InputError(
                f"{self.folder}: made for another video ({video.path[:200]}), whose content differs from this "
                "one's; choose another folder for the project, or confirm that the masks fit (annotate --same-video)"
            )
        self.save_objects(self.objects)


def compute_fingerprint(path: Path) -> dict[str, Any]:
    """Return the fingerprint of a video, a stack or a folder of images, as stored in a project.

    ``bytes`` is the size of the file or of all images, ``samples`` a digest of their names and samples of their
    content. Raises `InputError` if it cannot be read.
    """
    files = [path]
    try:
        if path.is_dir():
            files = sorted(file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)
        samples = [(file.name if path.is_dir() else "", digest_samples(file)) for file in files]
        size = sum(file.stat().st_size for file in files)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    return {"bytes": size, "samples": hashlib.sha256(repr(samples).encode()).hexdigest()}
