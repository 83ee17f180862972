"""A tracker that repeats the last mask, and something to track."""

import pytest
from PIL import Image

from aotlab.engine.tracking import tracker as engine
from tests.tools.track.runs import Repeater, save


@pytest.fixture(autouse=True)
def tracker(monkeypatch):
    monkeypatch.setattr(engine, "Tracker", Repeater)
    monkeypatch.setattr(Repeater, "loads", 0)
    monkeypatch.setattr(Repeater, "steps", 0)
    return Repeater


@pytest.fixture
def video(tmp_path):
    folder = tmp_path / "video"
    folder.mkdir()
    for index in range(4):
        Image.new("RGB", (48, 32), (40, 90, 40 + index)).save(folder / f"{index:05d}.png")
    return folder


@pytest.fixture
def mask(tmp_path):
    return save(tmp_path / "first.png", 1)
