"""Folders of results from others: records that name files elsewhere, links, and exports that were interrupted."""

import json
import shutil

import numpy as np
import pytest

from aotlab.evaluation.results import BenchmarkResults, VotedResults
from aotlab.evaluation.voting import list_sequences
from aotlab.media.masks import write_mask
from aotlab.tools import score
from aotlab.tools.ensemble import main as ensemble
from aotlab.utils.errors import InputError
from aotlab.utils.run_folder import RECORD, RECORD_FILE, UNMOVED, find_masks_folder
from aotlab.utils.versioned_files import write_versioned
from aotlab_testing.files import read_files
from aotlab_testing.marks import needs_posix
from aotlab_testing.video.runs import NAMES, interrupt, track
from aotlab_video.commands import render
from aotlab_video.runs.inputs import read_annotations
from aotlab_video.runs.lists import list_job_folders
from aotlab_video.runs.store import Results, has_results

pytestmark = pytest.mark.usefixtures("repeater")


def forge(folder, **values):
    """Change the record of a folder, with the right checksum."""
    content = json.loads((folder / RECORD).read_text())
    for name in ("kind", "version", "digest"):
        del content[name]
    write_versioned(folder / RECORD, RECORD_FILE, content | values)


@pytest.fixture
def mine(tmp_path):
    """A folder of a person, with files named like frames."""
    (tmp_path / "mine").mkdir()
    for name in ("thesis.txt", *NAMES):
        (tmp_path / "mine" / name).write_text("mine")
    return tmp_path / "mine"


@pytest.fixture
def out(video, mask, tmp_path):
    """Finished results with an output in a folder for each object."""
    assert track(video, tmp_path, mask, args=["--write", "objects"]) == 0
    return tmp_path / "out"


def run_commands(video, mask, out):
    """Return the exit statuses of commands that delete or replace files of results."""
    return [
        track(video, out.parent, mask),
        track(video, out.parent, mask, args=["--end", "1", "--force"]),
        render.main([str(out), "--write", "coco,objects"]),
    ]


@pytest.mark.parametrize("status", ["done", "unfinished"])
@pytest.mark.parametrize("field", ["outputs", "other_files"])
@pytest.mark.parametrize("path", ["../mine/thesis.txt", "{}/mine/thesis.txt", "../mine/{{frame}}.png"])
def test_record_with_files_elsewhere_deletes_none(video, mask, tmp_path, mine, out, capsys, path, field, status):
    path, before = path.format(tmp_path), read_files(mine)
    forge(out, **{field: {"coco": [path]}}, status=status)
    assert run_commands(video, mask, out) == [2, 2, 2]
    errors = capsys.readouterr().err.splitlines()
    assert [line for line in errors if f"'{path[:70]}" in line and "is not a path in this folder" in line] == errors
    assert read_files(mine) == before


@pytest.mark.parametrize("kind", [BenchmarkResults, VotedResults])
@pytest.mark.parametrize("name", ["../mine", "{}/mine", "."])
def test_sequences_elsewhere_are_not_deleted(tmp_path, mine, kind, name):
    results = kind(folder=tmp_path / "evaluated", inputs={"a": 1}, sequences=["bear"])
    results.folder.mkdir()
    results.start()
    results.add({"sequence": "bear", "inputs": {}})
    forge(results.folder, sequences=[name.format(tmp_path)])
    with pytest.raises(InputError, match="is not a path in this folder; move the folder away, or choose another"):
        kind(folder=results.folder, inputs={"a": 2}, sequences=["bear"]).open(force=True)
    assert len(read_files(mine)) == 5


READERS = [
    Results.read,
    has_results,
    find_masks_folder,
    list_sequences,
    lambda path: read_annotations(path, None),
    lambda path: Results(folder=path, inputs={}, name="a").open(force=True),
]


@pytest.mark.parametrize("read", READERS)
def test_every_reader_rejects_files_elsewhere(out, read):
    forge(out, outputs={"coco": ["../coco.json"]})
    with pytest.raises(InputError, match=r"results\.json: '\.\./coco\.json' is not a path in this folder"):
        read(out)
    assert list_job_folders(out.parent) == [out]  # damaged results are listed with their problem


@pytest.mark.parametrize("read", READERS)
def test_every_reader_rejects_an_interrupted_export(out, read):
    (out / UNMOVED).mkdir()
    (out / UNMOVED / "export.json").write_text("{}")
    with pytest.raises(InputError, match="out: an export of corrected masks was interrupted; complete it with"):
        read(out)


def test_commands_reject_an_interrupted_export(video, mask, tmp_path, out, capsys):
    (out / UNMOVED).mkdir()
    (out / UNMOVED / "export.json").write_text("{}")
    before = read_files(out)
    assert run_commands(video, mask, out) == [2, 2, 2]
    assert score.main([str(out), "--annotations", str(mask.parent / "video")]) == 2
    assert ensemble([str(tmp_path), "--output", str(tmp_path.with_name("voted"))]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if "an export of corrected masks was interrupted" in line] == lines
    assert read_files(out) == before


@needs_posix
@pytest.mark.parametrize("state", ["finished", "unfinished"])
def test_masks_are_not_written_through_a_link(video, mask, tmp_path, mine, monkeypatch, capsys, state):
    if state == "unfinished":
        interrupt(monkeypatch, video, tmp_path, mask, args=["--write", "masks"])
    else:
        assert track(video, tmp_path, mask, args=["--write", "masks"]) == 0
    shutil.rmtree(tmp_path / "out" / "masks")
    (tmp_path / "out" / "masks").symlink_to(mine)
    before = read_files(mine)
    for args in ([], ["--dry-run"]) if state == "unfinished" else ():
        assert track(video, tmp_path, mask, args=["--write", "masks", *args]) == 2
    assert track(video, tmp_path, mask, args=["--write", "masks", "--end", "1", "--force"]) == 2
    assert "out: already contains masks, which is a link; choose another output" in capsys.readouterr().err
    assert read_files(mine) == before


@needs_posix
def test_outputs_are_not_written_through_a_link(video, mask, tmp_path, mine, out, capsys):
    shutil.rmtree(out / "objects" / "1")
    (out / "objects" / "1").symlink_to(mine)
    before = read_files(mine)
    assert render.main([str(out), "--write", "objects"]) == 2
    assert "out: already contains objects/1, which aotlab did not write" in capsys.readouterr().err
    assert track(video, tmp_path, mask, args=["--end", "1", "--force"]) == 0
    assert (out / "objects" / "1").is_symlink()
    assert read_files(mine) == before


@needs_posix
def test_journal_is_not_written_through_a_link(tmp_path, mine):
    results = BenchmarkResults(folder=tmp_path, inputs={})
    results.start()
    (tmp_path / "sequences.jsonl").unlink()
    (tmp_path / "sequences.jsonl").symlink_to(mine / "thesis.txt")
    with pytest.raises(InputError, match=r"sequences\.jsonl: cannot be written"):
        results.add({"sequence": "bear"})
    assert (mine / "thesis.txt").read_text() == "mine"


@needs_posix
def test_link_in_place_of_a_sequence_is_not_followed(tmp_path, mine):
    folder = tmp_path / "evaluated"
    results = BenchmarkResults(folder=folder, inputs={"a": 1}, sequences=["bear"])
    folder.mkdir()
    results.start()
    results.add({"sequence": "bear"})
    (folder / "bear").symlink_to(mine)
    before = read_files(mine)
    results = BenchmarkResults(folder=folder, inputs={"a": 2}, sequences=["bear"]).open(force=True)
    results.start()
    assert read_files(mine) == before


@needs_posix
def test_vote_is_not_written_through_a_link(tmp_path, mine, capsys):
    for name in ("a", "b"):
        write_mask(tmp_path / "one" / name / "00000.png", np.ones((4, 6), np.uint8))
    line = [str(tmp_path / "one"), "--output", str(tmp_path / "voted")]
    assert ensemble(line) == 0
    journal, before = tmp_path / "voted" / "sequences.jsonl", read_files(mine)
    journal.write_text(journal.read_text().splitlines(keepends=True)[0])
    shutil.rmtree(tmp_path / "voted" / "b")
    (tmp_path / "voted" / "b").symlink_to(mine)
    assert ensemble(line) == 1
    assert "already contains b, which is a link" in capsys.readouterr().err
    assert read_files(mine) == before


def test_run_is_not_done_without_masks(video, mask, tmp_path, monkeypatch, capsys):
    append = Results.append

    def append_to_no_masks(self, frame):
        if frame.index == 2:
            shutil.rmtree(self.folder / "masks")
        append(self, frame)

    with monkeypatch.context() as patch:
        patch.setattr(Results, "append", append_to_no_masks)
        assert track(video, tmp_path, mask) == 1
    assert "out: 2 of 4 masks were removed during the run; start it again" in capsys.readouterr().err
    assert Results.read(tmp_path / "out").status == "failed"
    assert track(video, tmp_path, mask) == 0
    assert Results.read(tmp_path / "out").status == "done"


def test_empty_folders_without_a_record_are_reused(video, mask, tmp_path):
    for name in ("masks", "objects/1"):
        (tmp_path / "out" / name).mkdir(parents=True)
    assert track(video, tmp_path, mask, args=["--write", "objects"]) == 0
