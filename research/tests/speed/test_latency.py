"""Latency of the studio."""

import pytest

from aotlab_studio.document.document import Document
from aotlab_studio.tracking.models import TrackerLoader
from research.speed.latency import main
from studio.tests.annotation.clips import draw_folder
from studio.tests.annotation.trackers import TruthTracker


@pytest.mark.slow  # starts a browser and tracks a clip
def test_objects_are_forgotten_after_a_latency_run(tmp_path, capsys, monkeypatch):
    video = draw_folder(tmp_path / "clip")
    tracker = TruthTracker()
    monkeypatch.setattr(TrackerLoader, "__call__", lambda self: tracker)
    assert main([str(video)]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert [row.split("  ")[0] for row in rows] == [
        "an image near a frame", "seek, first time", "seek again",
        "stroke", "box", "tracking, share of the tracker's own speed",
    ]  # fmt: skip
    assert [*Document.read(video.parent / "clip.aotlab").snapshot.objects] == []
