"""Folder of a run: what made its contents, which entries are complete, and which contents another run may replace.

| contents of the folder     | same inputs     | other inputs                                     |
|----------------------------|-----------------|--------------------------------------------------|
| no files, or only failures | start           | start                                            |
| those of a run             | reuse or resume | refuse; ``force``: delete what the record lists  |
| anything else              | refuse          | refuse                                           |
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

from typing_extensions import Self

from aotlab.utils.errors import InputError, output_exists_error, require
from aotlab.utils.files import (
    MALFORMED,
    TEMPORARY_NAME,
    is_inner_path,
    list_files,
    read_json,
    reading,
    write_text,
    writing,
)
from aotlab.utils.locks import LOCK_SUFFIX, remove_leftovers
from aotlab.utils.provenance import describe_program
from aotlab.utils.text import shorten
from aotlab.utils.versioned_files import FileKind, unwrap, write_versioned

RECORD = "results.json"
"""File with the inputs of a run, in its folder."""
EXPORT_RECORD = "export.json"
"""File with the names of all files of an export, in its folder."""
UNMOVED = ".aotlab-complete"
"""Folder with the files of an export while they are moved to their places, its record last."""
VIDEO_KIND, MASKS = "video", "masks"
"""Kind of the results of a tracked video, and the folder in it with a PNG of object ids for each frame."""
FOLDER_REMEDY = "move the folder away, or choose another"
RECORD_FILE = FileKind("results of aotlab", 1, FOLDER_REMEDY)


@dataclass(kw_only=True)
class RunFolder:
    """Folder of a run with the record of its inputs and a journal of what is complete.

    A subclass sets `kind`, `journal` and `owned`.
    """

    kind: ClassVar[str]
    """Kind of the run in its record."""
    journal: ClassVar[str]
    """Name of the file with a line for each complete entry."""
    owned: ClassVar[tuple[str, ...]] = ()
    """Names of further files and folders that belong to the run."""

    folder: Path
    inputs: dict[str, Any]
    """All that the results depend on, as JSON values. Runs with equal inputs are the same."""
    provenance: dict[str, str] = field(default_factory=dict)
    """Versions, command and date, which do not count as inputs."""
    entries: list[dict[str, Any]] = field(default_factory=list)
    """Lines of the journal."""
    replaced: Self | None = field(default=None, init=False, compare=False)
    """Earlier run in the folder, whose files `start` deletes."""

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Return the run in a folder; None without a run of this kind.

        Raises:
            InputError: its files are damaged, or of another version.
        """
        content = read_record(folder)
        if content is None or content["kind"] != cls.kind:
            return None
        with reading(folder / RECORD, FOLDER_REMEDY, *MALFORMED):
            run = cls(folder=folder, **cls.parse({name: value for name, value in content.items() if name != "kind"}))
        with reading(folder / cls.journal, FOLDER_REMEDY, *MALFORMED):
            for entry in read_lines(folder / cls.journal):
                cls.check_entry(entry)
                run.entries.append(entry)
        return run

    @classmethod
    def parse(cls, content: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of the class for the values of a record, see `record`."""
        return content

    @classmethod
    def check_entry(cls, entry: dict[str, Any]) -> None:
        """Raise an error if the line of an entry does not have the values that `add` stores."""

    def record(self) -> dict[str, Any]:
        """Return the values of the record, for `parse`."""
        return {"inputs": self.inputs, "provenance": self.provenance}

    def open(self, *, force: bool = False) -> Self:
        """Return the run in the folder if its inputs are the same, else this run, which `start` begins.

        The caller has locked the folder. Nothing is changed.

        Raises:
            InputError: the folder holds results of a different run, or anything else.
        """
        earlier, record = None, read_record(self.folder)
        if record is not None and record["kind"] == self.kind:
            earlier = type(self).read(self.folder)
        foreign = next(self._list_foreign(earlier), "")
        if earlier is not None and earlier.entries:
            self.inputs = json.loads(json.dumps(self.inputs))  # keys become strings, as when read
            if not (changes := self.describe_changes(earlier)):
                return earlier
            if foreign:
                raise output_exists_error(self.folder, foreign)
            earlier.require_replaceable()
            if not force:
                raise output_exists_error(self.folder, f"results of a different run ({changes})", suggest_force=True)
        elif record is not None and earlier is None:
            raise output_exists_error(self.folder, f"results of a {record['kind']}")
        elif foreign:
            raise output_exists_error(self.folder, foreign)
        self.replaced = earlier  # also without entries: a run that ended before its first one may have left files
        return self

    def describe_changes(self, earlier: Self) -> str:
        """Return how the inputs differ from those of an earlier run; empty if they are the same."""
        return describe_changes(earlier.inputs, self.inputs)

    def require_replaceable(self) -> None:
        """Raise `InputError` if no run may replace the contents, also not with ``force``."""

    @property
    def is_new(self) -> bool:
        """Whether the run has not started yet, in any process."""
        return not self.provenance

    def start(self, count: int = 0) -> None:
        """Delete what is replaced and write the record, or begin an earlier run again after its first entries."""
        remove_leftovers(self.folder)
        if self.replaced is not None:
            self.replaced.delete()
            self.replaced = None
        self.entries = self.entries[:count]
        self.provenance = self.provenance or describe_program()
        self.write(self.folder)

    def list_files(self) -> Iterator[str]:
        """Yield the paths in the folder of the files that the run has written, besides its record and journal."""
        return iter(self.owned)

    def delete(self) -> None:
        """Delete the files of the run and its journal; others stay, also the record until `start` replaces it."""
        remove_files(self.folder, [*self.list_files(), self.journal])

    def save(self, folder: Path | None = None) -> None:
        """Write the record; raise `InputError` if it cannot be written. ``folder``: see `write`."""
        write_record(folder or self.folder, self.kind, self.record())

    def write(self, folder: Path) -> None:
        """Write the record and the journal into a folder, from which they may be moved to that of the run."""
        self.save(folder)
        write_text(folder / self.journal, "".join(f"{json.dumps(entry)}\n" for entry in self.entries))

    @property
    def is_present(self) -> bool:
        """Whether the folder was not moved or removed since `start`."""
        return (self.folder / self.journal).is_file()

    def require_present(self) -> None:
        """Raise `InputError` if the folder was moved or removed since `start`."""
        require(self.is_present, "moved or removed during the run", subject=self.folder, remedy="start the run again")

    def require_no_link(self, path: str) -> None:
        """Raise `InputError` if a path in the folder leads elsewhere, so that no file is written there."""
        if leads_elsewhere(self.folder / path, self.folder):
            raise output_exists_error(self.folder, f"{path}, which is a link")

    def add(self, entry: dict[str, Any]) -> None:
        """Append the line of an entry; raise `InputError` if the folder was moved or removed."""
        self.require_present()
        path = self.folder / self.journal
        no_link = getattr(os, "O_NOFOLLOW", 0)
        with (
            writing(path),
            open(path, "a+b", opener=lambda name, flags: os.open(name, flags & ~os.O_CREAT | no_link)) as file,
        ):
            size = file.tell()
            file.seek(max(0, size - 1))
            if size and file.read(1) != b"\n":  # a line that a killed run has left
                file.truncate(path.read_bytes().rfind(b"\n") + 1)
            file.write(f"{json.dumps(entry)}\n".encode())
        self.entries.append(entry)

    def _list_foreign(self, earlier: RunFolder | None) -> Iterator[str]:
        """Yield a description of each file or folder that no run of this kind has written."""
        # a run writes its record first: without one, the same names belong to somebody else
        owned = [] if earlier is None else [RECORD, self.journal, *self.owned, *earlier.list_written()]
        return (f"{name}, which aotlab did not write" for name in list_unexpected(self.folder, owned))

    def list_written(self) -> set[str]:
        """Return the names of files and folders in the folder that the run has written, besides `owned`."""
        return set()


def list_unexpected(folder: Path, owned: Collection[str]) -> list[str]:
    """Return the names of files and folders that are not ``owned``, except locks, temporary files and empty folders."""
    own = {LOCK_SUFFIX, *owned}
    names = sorted(os.listdir(folder)) if folder.is_dir() else []
    others = (name for name in names if name not in own and not TEMPORARY_NAME.match(name))
    return [name for name in others if any(list_files(folder, name))]  # a killed run may leave empty folders


def leads_elsewhere(path: Path, folder: Path) -> bool:
    """Return whether a path in a folder is or contains a link, or a junction of Windows."""
    expected = Path(os.path.realpath(folder)) / path.relative_to(folder)
    return Path(os.path.realpath(path)) != expected


def remove_files(folder: Path, names: Iterable[str]) -> None:
    """Remove files of a folder, given their paths in it, and the folders that become empty; no link is followed."""
    parents = dict[Path, bool]()
    with writing(folder):
        for name in names:
            if not is_inner_path(name):
                raise ValueError(f"{name!r} is not a path in a folder")
            path = folder / name
            if path.parent not in parents:
                parents[path.parent] = not leads_elsewhere(path.parent, folder)
            if parents[path.parent]:
                with suppress(FileNotFoundError, NotADirectoryError):
                    path.unlink()
    for top in {path.relative_to(folder).parts[:1] for path, is_own in parents.items() if is_own} - {()}:
        remove_empty_folders(folder.joinpath(*top))


def remove_empty_folders(path: Path) -> None:
    """Remove a folder and those in it, as far as they hold no files; no link is followed."""
    for folder, _, _ in () if path.is_symlink() else os.walk(path, topdown=False):
        with suppress(OSError):  # it holds files
            os.rmdir(folder)


def require_inner_paths(subject: Path, values: Mapping[str, Any]) -> None:
    """Raise `InputError` about a file if a path of a record leads out of the folder of the run."""
    files = chain.from_iterable(chain(*values.get(name, {}).values()) for name in ("outputs", "other_files"))
    for path in chain(files, values.get("sequences", ()), values.get("videos", ())):
        problem = f"{ascii(path)[:80]} is not a path in this folder"
        require(is_inner_path(path), problem, subject=subject, remedy=FOLDER_REMEDY)


def write_record(folder: Path, kind: str, values: Mapping[str, Any]) -> None:
    """Write the record of a run of some kind; raise `InputError` if it cannot be written, or later not be read."""
    require_inner_paths(folder / RECORD, values)
    write_versioned(folder / RECORD, RECORD_FILE, {"of": kind, **values})


def read_record(folder: Path) -> dict[str, Any] | None:
    """Return the record in the folder of any run, with its ``kind``; None without one, or if it is another program's.

    Raises:
        InputError: the record is damaged, of another version, or names files of other folders; or an export was killed
            while it moved its files.
    """
    path = folder / RECORD
    with reading(path, "check its permissions"):
        is_record, is_unmoved = path.is_file(), (folder / UNMOVED / EXPORT_RECORD).is_file()
    problem, remedy = "an export of corrected masks was interrupted", "complete it with aotlab export-clips"
    require(not is_unmoved, problem, subject=folder, remedy=remedy)
    if not is_record:
        return None
    content = read_json(path, FOLDER_REMEDY)
    if not isinstance(content, dict) or content.get("kind") != RECORD_FILE.name:
        return None
    with reading(path, FOLDER_REMEDY, *MALFORMED):
        values = unwrap(RECORD_FILE, content)
        require_inner_paths(path, values)
        return {"kind": values.pop("of"), **values}


def find_masks_folder(path: Path) -> Path:
    """Return the folder of masks in the results of ``aotlab track``; for other paths, the path itself."""
    record = read_record(path)
    return path / MASKS if record is not None and record["kind"] == VIDEO_KIND else path


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the values of a file of JSON lines; an incomplete last line, which a killed run has left, is dropped.

    Raises:
        InputError: another line is damaged.
    """
    with reading(path, FOLDER_REMEDY, RecursionError):
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        for line in text.splitlines(keepends=True):
            if line.endswith("\n"):
                value = json.loads(line)
                if not isinstance(value, dict):
                    raise ValueError(f"a line with {shorten(line, 20)}")
                yield value


def describe_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return how the inputs of two runs differ, such as "memory.every: 5 before, 9 now; other prompts".

    Settings are named one by one; names of files and values of at most 20 characters are shown, three at most.
    """
    values, others = list[str](), list[str]()
    before, now = ({**inputs, **inputs.get("settings", {}), "settings": None} for inputs in (before, now))
    for name in dict.fromkeys([*before, *now]):
        pair = before.get(name), now.get(name)
        if pair[0] != pair[1]:
            shown = [value.get("name") if isinstance(value, Mapping) else value for value in pair]
            texts = ["none" if item is None else item if isinstance(item, str) else json.dumps(item) for item in shown]
            if texts[0] != texts[1] and all(len(text) <= 20 for text in texts):
                values.append(f"{name}: {texts[0]} before, {texts[1]} now")
            else:
                others.append(name)
    if len(values) > 3:  # another model has other settings
        values[3:] = ["…"]
    return "; ".join([*values, f"other {', '.join(others)}"] if others else values)


def require_inputs_outside(inputs: Sequence[Path], folder: Path) -> None:
    """Raise `InputError` if an input is the folder of results, or in it, where it would be replaced."""
    target = os.path.realpath(folder)
    for path in inputs:
        real = os.path.realpath(path)
        if real == target or real.startswith(f"{target}{os.sep}"):
            relation = "is" if real == target else "contains"
            raise InputError(f"{relation} the input {path}", subject=f"output {folder}", remedy="choose another folder")
