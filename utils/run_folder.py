"""Folder of a run: what made its contents, which entries are complete, and which contents another run may replace.

| contents of the folder | same inputs     | other inputs                      |
|------------------------|-----------------|-----------------------------------|
| none, or only failures | start           | start                             |
| those of a run         | reuse or resume | refuse; ``force``: replace all    |
| anything else          | refuse          | refuse                            |

Replaced contents are set aside and removed once the new run has stored its first entry; if it fails before, or is
killed, they are put back.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from typing_extensions import Self

from aotlab.utils.errors import InputError, output_exists_error
from aotlab.utils.files import (
    MALFORMED,
    SYSTEM_FILES,
    read_json,
    reading,
    remove,
    write_text,
    writing,
)
from aotlab.utils.locks import LOCK_SUFFIX, remove_leftovers
from aotlab.utils.text import shorten
from aotlab.utils.versioned_files import FileKind, unwrap, write_versioned

RECORD = "results.json"
"""File with the inputs of a run, in its folder."""
BACKUP, REMOVED = ".replaced", ".removed"
"""Folders of replaced contents, until the new run has stored an entry, and while they are removed."""
REMEDY = "move the folder away, or choose another"
RECORD_FILE = FileKind("results of aotlab", 1, REMEDY)


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
    replaces: bool = field(default=False, init=False)
    """Whether the folder still has the contents of another run."""

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Return the run in a folder; None without a run of this kind.

        Raises:
            InputError: its files are damaged, or of another version.
        """
        content = read_record(folder)
        if content is None or content["kind"] != cls.kind:
            return None
        with reading(folder / RECORD, REMEDY, *MALFORMED):
            run = cls(folder=folder, **cls.parse({name: value for name, value in content.items() if name != "kind"}))
        with reading(folder / cls.journal, REMEDY, *MALFORMED):
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

        The caller has locked the folder. Only what a killed run has left is changed: temporary files are removed, and
        contents that were set aside are put back.

        Raises:
            InputError: the folder holds results of a different run, or anything else.
        """
        remove_leftovers(self.folder)
        restore_backup(self.folder, self.journal)
        earlier, record = None, read_record(self.folder)
        if record is not None and record["kind"] == self.kind:
            earlier = type(self).read(self.folder)
        foreign = next(self._list_foreign(earlier), "")
        if earlier is not None and earlier.entries:
            self.inputs = json.loads(json.dumps(self.inputs))  # keys become strings, as when read
            if not (changes := describe_changes(earlier.inputs, self.inputs)):
                return earlier
            if reason := foreign or earlier.find_protected():
                raise output_exists_error(self.folder, reason)
            if not force:
                raise output_exists_error(self.folder, f"results of a different run ({changes})", suggest_force=True)
            self.replaces = True
        elif record is not None and earlier is None:
            raise output_exists_error(self.folder, f"results of a {record['kind']}")
        elif foreign:
            raise output_exists_error(self.folder, foreign)
        else:  # a run that ended before its first entry may have left files
            self.replaces = earlier is not None
        return self

    def find_protected(self) -> str:
        """Return a description of contents that no run replaces; empty without any."""
        return ""

    @property
    def is_new(self) -> bool:
        """Whether the run has not started yet, in any process."""
        return not self.provenance

    def start(self, count: int = 0) -> None:
        """Write the record of a new run, or begin an earlier one again after its first ``count`` entries."""
        if self.replaces:
            back_up(self.folder)
        self.entries = self.entries[:count]
        self.provenance = self.provenance or describe_program()
        self.write(self.folder)

    def save(self, folder: Path | None = None) -> None:
        """Write the record; raise `InputError` if it cannot be written. ``folder``: see `write`."""
        write_record(folder or self.folder, self.kind, self.record())

    def write(self, folder: Path) -> None:
        """Write the record and the journal into a folder, from which they may be moved to that of the run."""
        self.save(folder)
        write_text(folder / self.journal, "".join(f"{json.dumps(entry)}\n" for entry in self.entries))

    def add(self, entry: dict[str, Any]) -> None:
        """Append a line for a complete entry, whose files exist; replaced contents are removed."""
        path = self.folder / self.journal
        with writing(path), path.open("a+b") as file:
            size = file.tell()
            file.seek(max(0, size - 1))
            if size and file.read(1) != b"\n":  # a line that a killed run has left
                file.truncate(path.read_bytes().rfind(b"\n") + 1)
            file.write(f"{json.dumps(entry)}\n".encode())
        self.entries.append(entry)
        if self.replaces:
            remove_backup(self.folder)
            self.replaces = False

    def close(self) -> None:
        """Put replaced contents back if no process has added an entry."""
        restore_backup(self.folder, self.journal)

    def _list_foreign(self, earlier: RunFolder | None) -> Iterator[str]:
        """Yield a description of each file or folder that no run of this kind has written."""
        # a run writes its record first: without one, the same names belong to somebody else
        owned = [] if earlier is None else [RECORD, self.journal, *self.owned, *earlier.list_written()]
        return (f"{name}, which aotlab did not write" for name in list_unexpected(self.folder, owned))

    def list_written(self) -> set[str]:
        """Return the names of files and folders in the folder that the run has written, besides `owned`."""
        return set()


def list_unexpected(folder: Path, owned: Collection[str]) -> list[str]:
    """Return the names of files and folders that are not ``owned``, except locks and temporary files."""
    names = sorted(os.listdir(folder)) if folder.is_dir() else []
    own = {LOCK_SUFFIX, *SYSTEM_FILES, *owned}
    return [name for name in names if name not in own and ".part" not in Path(name).suffixes]


def write_record(folder: Path, kind: str, values: Mapping[str, Any]) -> None:
    """Write the record of a run of some kind; raise `InputError` if it cannot be written."""
    write_versioned(folder / RECORD, RECORD_FILE, {"of": kind, **values})


def read_record(folder: Path) -> dict[str, Any] | None:
    """Return the record in the folder of any run, with its ``kind``; None without one, or if it is another program's.

    Raises:
        InputError: the record is damaged, or of another version.
    """
    path = folder / RECORD
    with reading(path, "check its permissions"):
        if not path.is_file():
            return None
    content = read_json(path, REMEDY)
    if not isinstance(content, dict) or content.get("kind") != RECORD_FILE.name:
        return None
    with reading(path, REMEDY):
        values = unwrap(RECORD_FILE, content)
    return {"kind": values.pop("of"), **values}


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the values of a file of JSON lines; an incomplete last line, which a killed run has left, is dropped.

    Raises:
        InputError: another line is damaged.
    """
    with reading(path, REMEDY, RecursionError):
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        for line in text.splitlines(keepends=True):
            if line.endswith("\n"):
                value = json.loads(line)
                if not isinstance(value, dict):
                    raise ValueError(f"a line with {shorten(line, 20)}")
                yield value


def describe_changes(before: Any, now: Any, name: str = "") -> str:
    """Return how JSON values differ, by their names, such as "weights: aott_mini before, r50_deaotl now".

    A model that was added or removed is named as a whole, without its settings.
    """
    if before == now:
        return ""
    if isinstance(before, list) and isinstance(now, list):
        before, now = dict(enumerate(before)), dict(enumerate(now))
    elif before is None and isinstance(now, Mapping) and "weights" not in now:
        before = {}
    elif now is None and isinstance(before, Mapping) and "weights" not in before:
        now = {}
    if isinstance(before, Mapping) and isinstance(now, Mapping) and before.get("sha256") == now.get("sha256"):
        changes = [
            describe_changes(before.get(key), now.get(key), f"{name}.{key}" if name else str(key))
            for key in dict.fromkeys([*before, *now])
        ]
        return "; ".join(filter(None, changes))
    texts = [_describe_value(value) for value in (before, now)]
    if texts[0] == texts[1]:
        texts = [f"{text} ({digest})" for text, digest in zip(texts, map(_short_digest, (before, now)), strict=True)]
    return f"{name}: {texts[0]} before, {texts[1]} now"


def _describe_value(value: Any) -> str:
    """Return a value as text of at most 60 characters; of a file its name or digest, of a model its weights."""
    if isinstance(value, Mapping) and "weights" in value:
        value = value["weights"]
    if isinstance(value, Mapping) and ("name" in value or "sha256" in value):
        return str(value.get("name") or _short_digest(value))
    text = "none" if value is None else value if value and isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _short_digest(value: Any) -> str:
    """Return the first digits of the digest of a file, or of any other value."""
    from aotlab.utils.digests import digest_values

    digest = value["sha256"] if isinstance(value, Mapping) and "sha256" in value else digest_values([value])
    return f"content {str(digest)[:8]}"


def describe_versions() -> dict[str, str]:
    """Return the versions of aotlab and PyTorch, and the commit of a checkout."""
    from aotlab import __version__

    versions, root = {"aotlab": __version__}, os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    with suppress(importlib.metadata.PackageNotFoundError):  # its folder cannot be entered
        versions["torch"] = importlib.metadata.version("torch")
    if os.path.exists(os.path.join(root, ".git")):
        with suppress(OSError, subprocess.SubprocessError):
            command = ["git", "-C", root, "rev-parse", "HEAD"]
            found = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
            versions["commit"] = found.stdout.strip()
    return versions


def describe_program() -> dict[str, str]:
    """Return the versions and commit of `describe_versions`, the command and the date."""
    name = Path(sys.argv[0]).name
    line = shlex.join(["aotlab" if name == "__main__.py" else name, *sys.argv[1:]])
    now = datetime.datetime.now(datetime.timezone.utc)
    return {**describe_versions(), "command": line, "date": now.isoformat(timespec="seconds")}


def require_inputs_outside(inputs: Sequence[Path], folder: Path) -> None:
    """Raise `InputError` if an input is the folder of results, or in it, where it would be replaced."""
    target = os.path.realpath(folder)
    for path in inputs:
        real = os.path.realpath(path)
        if real == target or real.startswith(f"{target}{os.sep}"):
            relation = "is" if real == target else "contains"
            raise InputError(f"{relation} the input {path}", subject=f"output {folder}", remedy="choose another folder")


def back_up(folder: Path) -> None:
    """Move the contents of a locked folder into `BACKUP` in it, the record last."""
    aside = folder / BACKUP
    with writing(folder):
        aside.mkdir()
        names = [name for name in os.listdir(folder) if name not in (BACKUP, REMOVED, LOCK_SUFFIX)]
        for name in sorted(names, key=lambda name: name == RECORD):
            os.replace(folder / name, aside / name)


def remove_backup(folder: Path) -> None:
    """Remove the contents that `back_up` has moved."""
    with writing(folder), suppress(FileNotFoundError):
        os.replace(folder / BACKUP, folder / REMOVED)  # while it is removed, nobody puts a part of it back
    remove(folder / REMOVED)


def restore_backup(folder: Path, journal: str) -> None:
    """Undo `back_up` in a locked folder, unless the new run has stored an entry; also after a kill at any point."""
    remove(folder / REMOVED)
    aside = folder / BACKUP
    if not aside.is_dir():
        return
    is_complete = (aside / RECORD).exists()  # it is moved last, and back first
    if is_complete and next(read_lines(folder / journal), None) is not None:
        remove_backup(folder)
        return
    with writing(folder):
        if is_complete:
            for name in os.listdir(folder):
                if name not in (BACKUP, LOCK_SUFFIX):
                    remove(folder / name)
        for name in sorted(os.listdir(aside), key=lambda name: name != RECORD):
            os.replace(aside / name, folder / name)
        aside.rmdir()
