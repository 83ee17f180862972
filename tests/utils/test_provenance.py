"""Records of what made a file: versions, commit and command."""

import pytest

from aotlab.utils import provenance
from aotlab.utils.provenance import COMMIT_FILE, describe_program, describe_versions
from aotlab_testing.processes import commit_all


def test_program_is_described(monkeypatch):
    monkeypatch.setattr("sys.argv", ["/usr/bin/aotlab", "track", "my clip.mp4"])
    program = describe_program()
    assert program["command"] == "aotlab track 'my clip.mp4'"
    assert {"aotlab", "torch", "date"} <= program.keys()


def test_commit_says_whether_files_were_changed(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    (tmp_path / "file").write_text("")
    commit = commit_all(tmp_path)
    assert describe_versions()["commit"] == commit
    (tmp_path / "file").write_text("changed")
    assert describe_versions()["commit"] == f"{commit} with changes"


@pytest.mark.parametrize(("content", "expected"), [("0123", {"commit": "0123"}), ("", {}), (None, {})])
def test_installed_package_has_the_commit_of_its_build(tmp_path, monkeypatch, content, expected):
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    if content is not None:
        (tmp_path / COMMIT_FILE).write_text(content)
    assert {key: value for key, value in describe_versions().items() if key == "commit"} == expected
