"""Project folder of a video: given and tracked masks, and the list of objects."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from aotlab import InputError
from aotlab_studio.files import LEASE, LOCK, FolderLock, write_bytes
from aotlab_studio.project.label_store import LabelStore
from aotlab_studio.project.objects import Snapshot
from aotlab_studio.protocol import ClipStatus
from aotlab_studio.video import Frames

PROJECT_SUFFIX = ".aotlab"
PROJECT_FILE = "project.json"
FORMAT_VERSION = 2
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".exr")
"""files of a folder of frames that its fingerprint covers"""
FINGERPRINT_BYTES = 64 * 2**10
"""number of bytes of a fingerprint read at the start and at the end of a file"""

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
    status: ClipStatus = "open"
    note: str = ""
    """note on the status"""
    person: str = ""
    """who changed the status last; empty: unknown"""


def read_header(path: Path) -> ProjectHeader:
    """Read ``project.json``; raise `InputError` if it is damaged."""
    try:
        tree = msgspec.json.decode(path.read_bytes())
        if tree["version"] == 1:
            for item in tree["objects"]["items"]:
                item["id"] = item.pop("number")
        elif tree["version"] != FORMAT_VERSION:
            raise ValueError(
                f"version {str(tree['version'])[:20]}; this program reads 1 and {FORMAT_VERSION}"
            )
        return msgspec.convert(tree, ProjectHeader)
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
        content = msgspec.json.encode(
            ProjectHeader(
                FORMAT_VERSION,
                video,
                msgspec.json.decode(objects, type=Snapshot),
                self.status,
                self.note,
                self.person,
            )
        )
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
        self.status, self.note, self.person = head.status, head.note, head.person
        same_name = Path(video.path).name == Path(os.path.realpath(frames.path)).name
        if frames.live or (same_name if video.source is None else video.source == self._source):
            return
        if not same_video:
            raise InputError(
                f"{self.folder}: made for another video ({video.path[:200]}), whose content differs from this "
                "one's; choose another folder for the project, or confirm that the masks fit (annotate --same-video)"
            )
        self.save_objects(self.objects)


def compute_fingerprint(path: Path) -> dict[str, Any]:
    """Return the fingerprint of a video, a stack or a folder of images, as stored in a project.

    ``bytes`` is the size of the file or of all images, ``digest`` that of the size and of the first and last bytes; for
    a folder also of names and sizes of its images. Raises `InputError` if it cannot be read.
    """
    digest = hashlib.blake2b(digest_size=16)
    try:
        if not path.is_dir():
            return {"bytes": _add_file(digest, path), "digest": digest.hexdigest()}
        images = sorted(file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)
        sizes = [file.stat().st_size for file in images]
        for file, size in zip(images, sizes, strict=True):
            digest.update(f"{file.name}\0{size}\0".encode(errors="surrogateescape"))
        for file in (*images[:1], *images[-1:]):
            _add_file(digest, file)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    return {"bytes": sum(sizes), "digest": digest.hexdigest()}


def _add_file(digest: hashlib.blake2b, path: Path) -> int:
    """Add a file's size and its first and last bytes to a digest; return the size."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        digest.update(f"{size}\0".encode())
        digest.update(file.read(FINGERPRINT_BYTES))
        file.seek(max(0, size - FINGERPRINT_BYTES))
        digest.update(file.read(FINGERPRINT_BYTES))
    return size
