"""Project folder of a video: its header, its lock, the digest of the video, repair of a damaged log."""

from __future__ import annotations

import os
import secrets
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from aotlab import InputError
from aotlab.sdk import JobRecord, compute_fingerprint, read_job_record
from aotlab_studio.document.log import Count, Log, digest_text, read_bytes
from aotlab_studio.files import write_bytes, write_json
from aotlab_studio.lock import LEASE, LOCK, FolderLock
from aotlab_studio.video import FrameStore

PROJECT_SUFFIX = ".aotlab"
PROJECT_FILE = "project.json"
LOG_FILE = "log.jsonl"
EXPORT = "export"
"""folder of the last export"""
FORMAT_VERSION = 5
RENAMED_ADVICE = "rename the project as its video was renamed, or move it away"


class StoredVideo(Struct, omit_defaults=True):
    """The video of a project."""

    path: str
    """relative to the project"""
    count: Count
    """number of frames"""
    size: tuple[Count, Count]
    """height and width"""
    source: dict[str, Any]
    """fingerprint as `compute_fingerprint`"""
    levels: tuple[float, float] | None = None
    """values of black and white, if given"""


class Header(Struct):
    """Contents of ``project.json``."""

    version: int
    id: str
    """random; another project of a video of the same name has another one"""
    video: StoredVideo


def read_header(path: Path) -> Header:
    """Read ``project.json``; raise `InputError` if it is damaged or of another version."""
    try:
        content = path.read_bytes()
        version = msgspec.json.decode(content)["version"]
        if version == FORMAT_VERSION:
            return msgspec.json.decode(content, type=Header)
    except Exception as error:  # damaged files cause errors of any kind
        remedy = "delete it and open the video, which makes it again"
        raise InputError(f"{path}: damaged ({str(error)[:200]}); {remedy}") from error
    problem = f"version {str(version)[:20]}; this program reads {FORMAT_VERSION}"
    raise InputError(f"{path}: {problem}; move its folder away")


def locate_project(path: Path, project: Path | None = None) -> tuple[Path, Path]:
    """Return the video and the project folder for a path: a video, a folder of frames, or a project.

    A project is named after the whole file name, so that ``take.mp4`` and ``take.mov`` have one each. Raises
    `InputError` for a project whose video is missing.
    """
    real = Path(os.path.realpath(path))
    if not (path / PROJECT_FILE).is_file():
        return path, project or real.with_name(real.name + PROJECT_SUFFIX)
    stored = read_header(path / PROJECT_FILE).video.path
    for video in (path / stored, real.parent / Path(stored).name):
        if os.path.exists(video):
            return Path(os.path.realpath(video)), path
    remedy = f"put it next to the project, or open it with project {path}"
    raise InputError(f"{path}: its video {Path(stored).name} is missing; {remedy}")


def read_levels(folder: Path) -> tuple[float, float] | None:
    """Return the levels of a project; None if unset."""
    return read_header(folder / PROJECT_FILE).video.levels if (folder / PROJECT_FILE).is_file() else None


def read_job(folder: Path) -> JobRecord | None:
    """Return the record of the job whose results are in a folder; None for any other path or a damaged record."""
    return read_job_record(Path(os.path.realpath(folder)))


def digest_results(folder: Path) -> str:
    """Return a digest of the tracking that a folder of results is of; empty without a record or an output.

    An export of corrected masks leaves it as it is.
    """
    job = read_job(folder)
    if job is None or not job.written:
        return ""
    return digest_values(job.input_digest, job.frames, job.first_frame, job.last_frame, job.fingerprint)


def digest_values(*values: object) -> str:
    """Return a digest of plain values, 32 characters."""
    return digest_text(repr(values))


def open_folder(folder: Path, frames: FrameStore, *, same_video: bool = False) -> tuple[Header, FolderLock]:
    """Lock the project of a video, and create it on first use; with ``same_video``, although its content has changed.

    Raises `InputError` if the folder cannot be written, is in use by another process, or belongs to another video.
    """
    names = (LOCK, LEASE, PROJECT_FILE, LOG_FILE, "masks", "layers", EXPORT)
    for name in names:  # a link would write files outside the project
        if (folder / name).is_symlink():
            raise InputError(f"{folder / name}: is a link; replace it by a file or folder")
    lock = FolderLock(folder)
    try:
        path = os.path.relpath(os.path.realpath(frames.path), os.path.realpath(folder)).replace(os.sep, "/")
        video = StoredVideo(path, frames.count, frames.size, compute_fingerprint(frames.path))
        if frames.levels is not None and not frames.levels.estimated:
            video.levels = (frames.levels.low, frames.levels.high)
        file = folder / PROJECT_FILE
        stored = read_header(file) if file.is_file() else None
        if stored is not None:
            _require_same_video(folder, stored.video, video, same_content=same_video)
        header = Header(FORMAT_VERSION, stored.id if stored else secrets.token_hex(8), video)
        if header != stored:
            write_json(file, header)
    except BaseException:
        lock.release()
        raise
    return header, lock


def _require_same_video(folder: Path, stored: StoredVideo, here: StoredVideo, *, same_content: bool) -> None:
    """Raise `InputError` if a project is not of this video."""
    for key, old, new in (("frames", stored.count, here.count), ("size", stored.size, here.size)):
        if old != new:
            problem = f"made for a video with {key} {old}, this one has {new}"
            raise InputError(f"{folder}: {problem}; {RENAMED_ADVICE}")
    if stored.source != here.source and not same_content:
        problem = f"made for another video ({stored.path[:200]}), whose content differs from this one's"
        remedy = f"{RENAMED_ADVICE}, or confirm that the masks fit (annotate --same-video)"
        raise InputError(f"{folder}: {problem}; {remedy}")


def recover_project(path: Path, project: Path | None = None) -> str:
    """Replace the damaged log of a project by the most lines that it and its backup have; return what was lost.

    Lines after a damaged one that the backup lacks too are lost, as they depend on it. The damaged log is kept.

    Arguments are as in `locate_project`. Raises `InputError` without a log, or if it is in use by another process, of
    another version, or cannot be read or written.
    """
    folder = path if (path / LOG_FILE).is_file() else locate_project(path, project)[1]
    file = folder / LOG_FILE
    if not file.is_file():
        raise InputError(f"{folder}: not a project with edits; give the project to repair")
    if (folder / PROJECT_FILE).is_file():
        read_header(folder / PROJECT_FILE)
    lock = FolderLock(folder)
    try:
        log = Log(file)
        if not log.problem:
            return f"{file}: is not damaged"
        damaged, backup = read_bytes(file), read_bytes(log.backup)
        candidates = [damaged, backup, backup + damaged[len(backup) :]]
        content = max((each[: Log(file, each).end] for each in candidates), key=len)
        names = (f"{file.name}.damaged-{number}" for number in count(1))
        kept = next(name for name in names if not os.path.lexists(folder / name))
        write_bytes(folder / kept, damaged)
        write_bytes(file, content)
        lost = max(0, damaged.count(b"\n") - content.count(b"\n"))
        lines = "no line" if not lost else "1 line" if lost == 1 else f"the last {lost} lines"
        return f"{file}: repaired; {lines} lost; {kept} is the old file"
    finally:
        lock.release()
