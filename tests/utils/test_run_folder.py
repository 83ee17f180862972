"""Folder of a run: reused, resumed, replaced, or refused."""

import itertools
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass

import pytest

from aotlab.utils.errors import InputError
from aotlab.utils.run_folder import RECORD, RunFolder, describe_changes, read_lines, remove_files, write_record
from aotlab_testing.files import read_files
from aotlab_testing.marks import needs_posix

EARLIER, OTHER = {"weights": {"name": "a", "sha256": "1"}}, {"weights": {"name": "b", "sha256": "2"}}


@dataclass(kw_only=True)
class Run(RunFolder):
    kind, journal, owned = "test", "lines.jsonl", ("data",)

    def list_files(self):
        return (f"data/{entry['number']}" for entry in self.entries)


def make_run(folder, inputs=EARLIER):
    return Run(folder=folder, inputs=inputs)


def store(run, number):
    """Store an entry and its file."""
    (run.folder / "data").mkdir(exist_ok=True)
    (run.folder / "data" / str(number)).write_text(str(run.inputs))
    run.add({"number": number})


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "out"
    path.mkdir()
    return path


@pytest.fixture
def earlier(folder):
    """A folder with two entries of a run."""
    run = make_run(folder)
    run.start()
    store(run, 0)
    store(run, 1)
    return folder


def open_run(folder, inputs, **options):
    """What a run does with a folder: start, reuse or replace it, or refuse."""
    run = make_run(folder, inputs)
    try:
        opened = run.open(**options)
    except InputError:
        return "refuse"
    return "replace" if opened.replaced else "start" if opened is run else "reuse"


@pytest.mark.parametrize(
    "contents", ["nothing", "run", "failed run", "file", "run and file", "other kind", "empty data", "file in data"]
)
def test_table_of_contents_and_actions(folder, request, contents):
    if "run" in contents.split():
        request.getfixturevalue("earlier")
    if contents == "failed run":
        (folder / "lines.jsonl").unlink()
    if contents in ("file", "run and file"):
        (folder / "notes.txt").write_text("mine")
    if "data" in contents:
        (folder / "data" / "1").mkdir(parents=True)
    if contents == "file in data":
        (folder / "data" / "1" / "notes.txt").write_text("mine")
    if contents == "other kind":
        write_record(folder, "list", {})
    expected = {
        "nothing": ("start", "start", "start"),
        "run": ("reuse", "refuse", "replace"),
        "failed run": ("replace", "replace", "replace"),  # nothing is lost
        "file": ("refuse", "refuse", "refuse"),
        "run and file": ("reuse", "refuse", "refuse"),
        "other kind": ("refuse", "refuse", "refuse"),
        "empty data": ("start", "start", "start"),  # left by a killed run
        "file in data": ("refuse", "refuse", "refuse"),  # of a person, without a record
    }
    found = (open_run(folder, EARLIER), open_run(folder, OTHER), open_run(folder, OTHER, force=True))
    assert found == expected[contents]


def test_refusal_names_both_values(earlier):
    words = r"out: already contains results of a different run \(weights: a before, b now\); choose another"
    with pytest.raises(InputError, match=words):
        make_run(earlier, OTHER).open()


@pytest.mark.parametrize(("before", "now", "text"), [
    ({"a": 1}, {"a": 1}, ""),
    ({"a": None}, {}, ""),
    ({"masks": {"0": {"sha256": "1"}}}, {"masks": {"0": {"sha256": "2"}}}, "other masks"),
    ({"video": {"name": "x", "sha256": "1" * 64}}, {"video": {"name": "x", "sha256": "2" * 64}}, "other video"),
    ({}, {"settings": {"memory.every": 9}}, "memory.every: none before, 9 now"),
    ({"with": []}, {"with": [{"weights": {"name": "x", "sha256": "1" * 64}}]}, "other with"),
    ({"scales": []}, {"scales": None}, "scales: [] before, none now"),
    ({"prompts": {"0": {"1": "box 150,2,310,410"}}, "end": 2, "segmenter": ["1" * 64]}, {"end": 87},
     "end: 2 before, 87 now; other prompts, segmenter"),
    ({"weights": {"name": "a"}, "settings": dict.fromkeys("bcde", 1)},
     {"weights": {"name": "b"}, "settings": dict.fromkeys("bcde", 2)},
     "weights: a before, b now; b: 1 before, 2 now; c: 1 before, 2 now; …"),
    ({"a": 1, "b": "x"}, {"a": 2, "b": "y"}, "a: 1 before, 2 now; b: x before, y now"),
])  # fmt: skip
def test_changes_name_the_values_that_differ(before, now, text):
    assert describe_changes(before, now) == text


def test_replaced_run_is_deleted_at_the_start(earlier):
    run = make_run(earlier, OTHER).open(force=True)
    assert [*read_files(earlier)] == ["data/0", "data/1", "lines.jsonl", RECORD]
    (earlier / "data" / "notes.txt").write_text("mine")
    run.start()
    assert [*read_files(earlier)] == ["data/notes.txt", "lines.jsonl", RECORD]
    store(run, 0)
    assert read_files(earlier / "data")["notes.txt"] == b"mine"


def test_killed_replacement_deletes_no_other_file(earlier, tmp_path, monkeypatch):
    class Killed(BaseException):
        """End of a process without any cleanup."""

    def replace_results(folder, dies_at):
        calls = itertools.count()

        def step(original, *args, **options):
            if next(calls) == dies_at:
                raise Killed
            return original(*args, **options)

        with monkeypatch.context() as patch, suppress(Killed):
            for name in ("replace", "mkdir", "rmdir", "unlink"):
                original = getattr(os, name)
                patch.setattr(os, name, lambda *args, original=original, **kw: step(original, *args, **kw))
            run = make_run(folder, OTHER).open(force=True)
            run.start()
            store(run, 0)
            return True
        return False

    (earlier / "data" / "notes.txt").write_text("mine")
    before = read_files(earlier)
    for step in itertools.count():
        folder = shutil.copytree(earlier, tmp_path / str(step))
        if replace_results(folder, dies_at=step):
            break
        found = read_files(folder)
        assert found["data/notes.txt"] == b"mine"
        assert {*found} <= {*before}
        assert open_run(folder, OTHER, force=True) != "refuse"
    assert step > 3


def test_run_whose_folder_has_moved_stops(earlier, tmp_path):
    run = Run.read(earlier)
    earlier.rename(tmp_path / "moved")
    with pytest.raises(InputError, match="out: moved or removed during the run; start the run again"):
        run.add({"number": 2})
    assert not earlier.exists()


def test_torn_last_line_is_dropped(earlier):
    with (earlier / "lines.jsonl").open("a") as file:
        file.write('{"number": 2')
    assert [line["number"] for line in read_lines(earlier / "lines.jsonl")] == [0, 1]
    run = make_run(earlier).open()
    run.start(2)
    store(run, 2)
    assert [line["number"] for line in read_lines(earlier / "lines.jsonl")] == [0, 1, 2]


@pytest.mark.parametrize("content", ["[]", '{"kind": 5, "version": 1}', '{"kind": "test", "version": 99}'])
def test_record_of_another_program_is_foreign(folder, content):
    (folder / RECORD).write_text(content)
    assert Run.read(folder) is None
    with pytest.raises(InputError, match=f"already contains {RECORD}, which aotlab did not write"):
        make_run(folder).open(force=True)


@pytest.mark.parametrize("content", ["", "{", '{"kind": "results of aotlab", "version": 99}'])
def test_damaged_record_rejected(folder, content):
    (folder / RECORD).write_text(content)
    with pytest.raises(InputError, match=rf"{RECORD}: not readable .*; move the folder away, or choose another"):
        make_run(folder).open()


def test_damaged_line_rejected(earlier):
    path = earlier / "lines.jsonl"
    path.write_text("nonsense\n" + path.read_text())
    with pytest.raises(InputError, match=r"lines.jsonl: not readable .*; move the folder away"):
        make_run(earlier).open()


def test_changed_record_rejected(earlier):
    path = earlier / RECORD
    path.write_text(path.read_text().replace('"a"', '"b"'))
    with pytest.raises(InputError, match="changed or damaged since it was written"):
        make_run(earlier).open()


def test_record_says_what_made_the_results(earlier):
    assert Run.read(earlier).provenance.keys() >= {"aotlab", "torch", "date", "command"}


@pytest.mark.parametrize("path", ["data/../../mine.txt", "/mine.txt", "..", ".hidden", "C:/a", "a\\b", "a\0", ""])
def test_paths_out_of_the_folder_are_not_removed(earlier, path):
    with pytest.raises(ValueError, match="is not a path in a folder"):
        remove_files(earlier, [path])
    with pytest.raises(InputError, match="is not a path in this folder"):
        write_record(earlier, "test", {"outputs": {"a": [path]}})


@needs_posix
@pytest.mark.parametrize("name", ["linked/0", "data/linked/0"])
def test_files_behind_a_link_are_not_removed(earlier, tmp_path, name):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "0").write_text("mine")
    (earlier / name).parent.symlink_to(tmp_path / "mine")
    remove_files(earlier, [name, "data/0"])
    assert (tmp_path / "mine" / "0").read_text() == "mine"
    assert [*read_files(earlier)] == ["data/1", "lines.jsonl", RECORD]
