"""Project folder of a video: where it is, its header, and the output of `aotlab track` that it corrects."""

from __future__ import annotations

import json
import os
import secrets
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

import aotlab_video
from aotlab import InputError, sdk
from aotlab.utils.files import writing
from aotlab.utils.locks import locked
from aotlab.utils.run_folder import EXPORT_RECORD, RECORD, UNMOVED, read_record
from aotlab_studio.document.database import DAMAGED_REMEDY, JOURNAL_FILE, PROJECT_FILE, Database
from aotlab_studio.document.lock import LOCK
from aotlab_studio.document.log import NonNegativeInt, digest_values
from aotlab_studio.utils.files import ExportRecord, describe_files, encode_json, read_json, recover_export
from aotlab_studio.utils.video import FrameStore
from aotlab_video import SourceOptions, parse_source_options

PROJECT_SUFFIX = ".aotlab"
EXPORT = "export"
"""Folder of the last export."""
FORMAT_VERSION = 17
"""Version of the projects that are written and read."""
LOCK_TIMEOUT = 10.0
"""Seconds to wait for a run or an export in a folder of results."""
RENAMED_REMEDY = "rename the project as its video was renamed, or move it away"


class StoredVideo(Struct, omit_defaults=True):
    """The video of a project."""

    path: str
    """Path relative to the project, or absolute if the video is on another drive of Windows."""
    count: NonNegativeInt
    size: tuple[NonNegativeInt, NonNegativeInt]
    """Height and width."""
    source: dict[str, Any]
    """Size and digest of its content, from `digest_video`."""
    options: dict[str, Any] = {}
    """How its frames are read, from `SourceOptions.to_json`, without levels that were estimated."""


class Header(Struct):
    """Version, id and video of a project."""

    version: int
    id: str
    """Random text, by which pages tell projects apart."""
    video: StoredVideo


class _Version(Struct):
    version: Any


def read_header(database: Database) -> Header:
    """Return the header of a project; raise `InputError` if it is damaged or of another version."""
    content = database.read_content("header", 1)
    with sdk.reading(f"{database.path}: the header", DAMAGED_REMEDY, RecursionError):
        values = json.loads(content)  # names of files may have bytes that are no text, which msgspec refuses
        version = msgspec.convert(values, _Version).version
        if version == FORMAT_VERSION:
            return msgspec.convert(values, Header)
    problem = f"version {str(version)[:20]}; this program reads {FORMAT_VERSION}"
    raise InputError(f"{database.path}: {problem}; move its folder away")


def has_project(folder: Path) -> bool:
    """Return whether a folder holds a project with content."""
    return (folder / PROJECT_FILE).is_file() and not Database.open(folder).is_empty


def find_project(path: Path) -> Path:
    """Return the project folder beside a video or results. A link may have its own project beside it.

    Its name contains the whole file name, so that ``take.mp4`` and ``take.mov`` have one each.
    """
    beside, real = (Path(f"{resolve(path)}{PROJECT_SUFFIX}") for resolve in (os.path.abspath, os.path.realpath))
    return beside if (beside / PROJECT_FILE).exists() else real


def locate_project(path: Path, project: Path | None = None) -> tuple[Path, Path]:
    """Return the video and the project folder, given one of them; raise `InputError` if the video is missing."""
    if not has_project(path):
        if (path / PROJECT_FILE).is_file():
            raise InputError(f"{path}: not a project yet; open its video")
        return path, project or find_project(path)
    if project is not None:
        raise InputError(f"--project {project}: {path} is a project already; remove the option")
    stored_path = read_header(Database.open(path)).video.path
    for video in (path / stored_path, Path(os.path.realpath(path)).parent / Path(stored_path).name):
        if os.path.exists(video) and not aotlab_video.has_results(video):  # not the results, whose name is the same
            return Path(os.path.realpath(video)), path
    remedy = f"put it next to the project, or open the video with --project {path}"
    raise InputError(f"{path}: its video {Path(stored_path).name} is missing; {remedy}")


def require_no_renamed_project(video: Path, folder: Path) -> None:
    """Raise `InputError` if a project beside a new one is of the same video under a name that it no longer has."""
    for other in sorted(folder.parent.glob(f"*{PROJECT_SUFFIX}")):
        stored = None
        with suppress(InputError):  # a damaged project is not offered
            stored = read_header(Database.open(other)).video if has_project(other) else None
        if stored and not (other / stored.path).exists() and stored.source == aotlab_video.digest_video(video):
            problem = f"the project {other.name} beside it was made for this video, which was renamed"
            remedy = f"rename the project to {folder.name}, or move it away to start a new one"
            raise InputError(f"{video.name}: {problem}; {remedy}")


def read_source_options(folder: Path) -> SourceOptions:
    """Return how the frames of a project are read; the defaults without a project."""
    return parse_source_options(read_header(Database.open(folder)).video.options if has_project(folder) else {})


def complete_export(folder: Path) -> None:
    """Move the rest of the files of a killed export to their places; raise `InputError` if that fails."""
    if (folder / UNMOVED / EXPORT_RECORD).is_file():
        with writing(folder), locked(folder / LOCK, LOCK_TIMEOUT, subject=folder):
            recover_export(folder)


def has_results(folder: Path) -> bool:
    """Return whether a path is a folder of results of `aotlab track`, after a killed export to it is completed."""
    complete_export(folder)
    return aotlab_video.has_results(folder)


def read_results(folder: Path) -> aotlab_video.Results | None:
    """Return the results of `aotlab track` in a folder, after a killed export to it is completed; None for other paths.

    Raises `InputError` for damaged ones.
    """
    folder = Path(os.path.realpath(folder))
    complete_export(folder)
    return aotlab_video.Results.read(folder)


def digest_output(folder: Path, video: StoredVideo | None = None) -> str:
    """Return a digest of the results of `aotlab track` in a folder: of their inputs, and the number of their frames.

    It is empty if the folder holds no results, damaged ones, or those of another video. An export of corrected masks
    keeps it.
    """
    folder = Path(os.path.realpath(folder))
    names = (RECORD, aotlab_video.Results.journal, EXPORT_RECORD)
    digest, sha256 = _digest_results(folder, describe_files([folder / name for name in names]))
    is_other = video is not None and sha256 not in ("", video.source.get("sha256"))
    return "" if is_other else digest


def mark_results_edited(folder: Path) -> None:
    """Note in the record of results of `aotlab track` that a project has edits which their masks lack."""
    complete_export(folder)
    record = read_record(folder)
    if record is not None and not record.get("edited"):
        with locked(folder / LOCK, 0, subject=folder):
            if (results := read_results(folder)) is not None:
                results.outdated = True
                results.save()


@lru_cache(maxsize=1000)  # the journal of a long video is large
def _digest_results(folder: Path, files: object) -> tuple[str, str]:
    """Return digests of results and of their video, empty if unknown; ``files``: their state."""
    results = None
    with suppress(InputError):
        results = read_results(folder)
    if results is None or not results.entries:
        return "", ""
    digest = digest_values(results.inputs, len(results.entries))
    if results.protected:
        digest = read_json(folder / EXPORT_RECORD, ExportRecord).source_digest or digest
    return digest, results.fingerprint.get("sha256", "")


def require_no_links(folder: Path) -> None:
    """Raise `InputError` if a file of a project is a link, as writing to it would change files elsewhere."""
    for name in (LOCK, PROJECT_FILE, JOURNAL_FILE, EXPORT):
        if (folder / name).is_symlink():
            raise InputError(f"{folder / name}: is a link; replace it by a file or folder")


def write_header(database: Database, frames: FrameStore, *, same_video: bool = False) -> None:
    """Store the video of a project, unless it is only viewed.

    Raises `InputError` for another video, or without ``same_video`` for other content.
    """
    path = os.path.realpath(frames.path)
    with suppress(ValueError):  # on another drive of Windows
        path = os.path.relpath(path, os.path.realpath(database.folder))
    video = StoredVideo(path.replace(os.sep, "/"), frames.count, frames.size, aotlab_video.digest_video(frames.path))
    estimated = frames.source.levels is not None and frames.source.levels.estimated
    options = frames.source.options.to_json()
    video.options = {name: value for name, value in options.items() if not (estimated and name == "levels")}
    old, folder = None if database.is_empty else read_header(database), database.folder
    if old is not None:
        sizes = [f"{item.count} frames, {item.size[1]}×{item.size[0]}" for item in (old.video, video)]
        if sizes[0] != sizes[1]:
            problem = f"made for a video of {sizes[0]}, this one has {sizes[1]}"
            raise InputError(f"{folder}: {problem}; {RENAMED_REMEDY}")
        if old.video.source != video.source and not same_video:
            problem = f"made for another video ({old.video.path[:200]}), whose content differs"
            remedy = f"{RENAMED_REMEDY}, or confirm that the masks fit (annotate --same-video)"
            raise InputError(f"{folder}: {problem}; {remedy}")
    header = Header(FORMAT_VERSION, old.id if old else secrets.token_hex(8), video)
    if header != old and database.folder_lock is not None:
        with database.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO header VALUES (?, ?)", (1, encode_json(header)))
