"""Lines that `track` prints after a run."""

from __future__ import annotations

from aotlab.tools.track import report_result
from aotlab.video.track import TrackResult


def test_cuts_are_printed(capsys):
    report_result(TrackResult(30, 1.0, cuts=(10, 20)), realtime=False)
    assert "2 cuts, before frame 10, 20" in capsys.readouterr().out
    report_result(TrackResult(30, 1.0), realtime=False)
    assert "cut" not in capsys.readouterr().out
