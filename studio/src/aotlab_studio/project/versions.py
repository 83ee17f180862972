"""Versions of a project: copies of its masks and objects that can be restored."""

from __future__ import annotations

import os
import shutil
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from aotlab import InputError
from aotlab_studio.files import write_bytes
from aotlab_studio.project.folder import PROJECT_FILE, read_header
from aotlab_studio.project.state import State
from aotlab_studio.protocol import Version

VERSION_FILE = "version.json"
LIMIT_BYTES = 512 * 2**20
"""maximum size of the masks that only versions hold; beyond it the oldest versions are dropped"""
STORES = ("given", "tracked")
Title = Annotated[str, Meta(max_length=120)]


def list_versions(state: State) -> list[Version]:
    """Return the versions, the newest first."""
    versions = []
    for path in _locate(state).glob(f"[0-9]*/{VERSION_FILE}"):
        try:
            versions.append(msgspec.json.decode(path.read_bytes(), type=Version))
        except (OSError, ValueError):
            continue
    return sorted(versions, key=lambda version: -version.number)


def keep_version(state: State, title: Title = "") -> Version:
    """Keep the masks and objects as they are now; drop the oldest versions beyond `LIMIT_BYTES`.

    Masks are linked, not copied, where the file system can: files are only ever replaced as a whole.

    Raises:
        InputError: there is no object yet, or the folder cannot be written.
    """
    with state.lock:
        if not state.objects.ids:
            raise InputError("version: there is no object to keep yet; draw one first")
        folder = _locate(state)
        number = max((version.number for version in list_versions(state)), default=0) + 1
        version = Version(number, title, state.project.lock.person, f"{datetime.now():%Y-%m-%d %H:%M}")
        temporary, target = folder / f".{number:04d}.part", folder / f"{number:04d}"
        try:
            for leftover in (temporary, target):
                shutil.rmtree(leftover, ignore_errors=True)
            for store in (state.project.given, state.project.tracked):
                copy = temporary / store.folder.name
                copy.mkdir(parents=True)
                for path in map(store.locate, store):
                    _link(path, copy / path.name)
            shutil.copyfile(state.project.folder / PROJECT_FILE, temporary / PROJECT_FILE)
            write_bytes(temporary / VERSION_FILE, msgspec.json.encode(version))
            os.replace(temporary, target)
            _drop_oldest(state)
        except OSError as error:
            raise InputError(f"{target}: cannot be written ({error.strerror}); free space") from error
    return version


def restore_version(state: State, number: int) -> int:
    """Make the masks, objects and queued corrections those of a version, in one step.

    Returns:
        number of changed masks.

    Raises:
        InputError: no such version, or one of its files cannot be read.
    """
    folder = _locate(state) / f"{number:04d}"
    if not (folder / VERSION_FILE).is_file():
        raise InputError(f"version {number}: no such version; choose one of the list")
    header = read_header(folder / PROJECT_FILE)
    with state.step(f"restore version {number}") as changes:
        with state.edit_objects(changes) as objects:
            objects.restore(msgspec.json.encode(header.objects))
        for name in STORES:
            store = state.project.given if name == "given" else state.project.tracked
            kept = {int(path.stem): path for path in (folder / name).glob("*.png")}
            for index in sorted({*kept, *store}):
                content = kept[index].read_bytes() if index in kept else None
                if content != store.read_content(index):
                    changes.append(state.change(name, index, content))
        for index in {*state.corrections, *header.corrections}:
            queued = b"" if index in header.corrections else None
            changes.append(state.change("corrections", index, queued))
        return sum(each.store in STORES for each in changes.stored)


def _locate(state: State) -> Path:
    return state.project.folder / "versions"


def _drop_oldest(state: State) -> None:
    """Remove the versions beyond `LIMIT_BYTES`, except the newest; masks that are linked several times count once."""
    stores = (state.project.given, state.project.tracked)
    counted, size = {store.locate(index).stat().st_ino for store in stores for index in store}, 0
    for age, version in enumerate(list_versions(state)):
        folder = _locate(state) / f"{version.number:04d}"
        masks = {mask.st_ino: mask.st_size for mask in map(Path.stat, folder.glob("*/*.png"))}
        size += sum(masks[inode] for inode in masks.keys() - counted)
        counted |= masks.keys()
        if age and size > LIMIT_BYTES:
            shutil.rmtree(folder)


def _link(path: Path, target: Path) -> None:
    """Make a second name of a file; copy it if the file system has no links."""
    try:
        os.link(path, target)
    except OSError:
        shutil.copyfile(path, target)
