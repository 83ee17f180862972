"""Locks of output folders: a second run names the first and changes nothing."""

import os

import pytest

from aotlab.tools.main import main
from aotlab.utils.locks import locked_output
from aotlab_testing.files import SAMPLE

VIDEO, MASK = str(SAMPLE / "rabbit.mp4"), str(SAMPLE / "rabbit.png")


@pytest.mark.parametrize("line", [(VIDEO, "--mask", MASK), ("--jobs", "jobs.csv")], ids=["video", "list"])
def test_second_run_on_one_output_is_rejected(tmp_path, capsys, monkeypatch, line):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs.csv").write_text(f"video,masks\n{VIDEO},{MASK}\n")
    out = tmp_path / "out"
    with locked_output(out):
        assert main(["track", *line, "--output", str(out)]) == 2
        assert [path.name for path in out.glob("*")] == [".lock"]
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith(f"error: {out}: in use by process {os.getpid()} on ")
