"""A tracker that repeats the last mask, and something to track."""

from functools import lru_cache

import pytest

from aotlab.configs.files import BUNDLED_CHECKPOINT
from aotlab.engine.tracking import tracker as engine
from aotlab.engine.tracking.options import TrackerOptions
from tests.drawn_clips import write_plain
from tests.tools.track.runs import Repeater, save

read_settings = TrackerOptions.settings_as_yaml
read_settings_once = lru_cache(read_settings)


def settings_as_yaml(options):
    """The bundled model's settings do not change."""
    known = options.checkpoint == BUNDLED_CHECKPOINT and options.config is None
    return (read_settings_once if known else read_settings)(options)


@pytest.fixture(autouse=True)
def tracker(monkeypatch):
    monkeypatch.setattr(engine, "Tracker", Repeater)
    monkeypatch.setattr(TrackerOptions, "settings_as_yaml", settings_as_yaml)
    monkeypatch.setattr(Repeater, "loads", 0)
    monkeypatch.setattr(Repeater, "steps", 0)
    return Repeater


@pytest.fixture
def video(tmp_path):
    return write_plain(tmp_path / "video", 4)


@pytest.fixture
def numbered(video):
    """The video with file names that count from 1001."""
    for index, path in enumerate(sorted(video.iterdir())):
        path.rename(video / f"shot.{1001 + index}.png")
    return video


@pytest.fixture
def mask(tmp_path):
    return save(tmp_path / "first.png", 1)
