"""A tracker that repeats the last mask, and something to track."""

import pytest

from aotlab.engine.tracking import tracker as engine
from tests.drawn_clips import write_plain
from tests.tools.track.runs import Repeater, save


@pytest.fixture(autouse=True)
def tracker(monkeypatch):
    monkeypatch.setattr(engine, "Tracker", Repeater)
    monkeypatch.setattr(Repeater, "loads", 0)
    monkeypatch.setattr(Repeater, "steps", 0)
    return Repeater


@pytest.fixture
def video(tmp_path):
    return write_plain(tmp_path / "video", 4)


@pytest.fixture
def mask(tmp_path):
    return save(tmp_path / "first.png", 1)
