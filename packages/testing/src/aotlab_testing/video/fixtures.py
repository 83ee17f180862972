"""A tracker that repeats the last mask, and videos to track."""

from functools import lru_cache

import pytest

from aotlab.configs.files import BUNDLED_CHECKPOINT
from aotlab.engine.tracking import tracker as engine
from aotlab.engine.tracking.options import TrackerOptions
from aotlab.utils.files import sha256
from aotlab_testing.drawn_clips import write_plain
from aotlab_testing.video.mattes import Mattes
from aotlab_testing.video.runs import Repeater, save


def cache_if_bundled(function, is_bundled):
    """Return the function with a cache for the bundled model, which does not change."""
    cached = lru_cache(function)
    return lambda argument: (cached if is_bundled(argument) else function)(argument)


def names_bundled(options):
    return options.checkpoint == BUNDLED_CHECKPOINT and options.config is None


TRACKER = engine.Tracker
SHA256 = cache_if_bundled(sha256, BUNDLED_CHECKPOINT.__eq__)
METHODS = {"read_settings": cache_if_bundled(TrackerOptions.read_settings, names_bundled)}


@pytest.fixture
def mattes(offer):
    """Commands have the output ``mattes``, which needs soft edges."""
    offer("aotlab.outputs", mattes=Mattes)


@pytest.fixture
def repeater(monkeypatch, mattes):
    """Commands load the class that is returned, and have the output ``mattes``."""
    monkeypatch.setattr(engine, "Tracker", Repeater)
    monkeypatch.setattr("aotlab.utils.digests.sha256", SHA256)
    for name, method in METHODS.items():
        monkeypatch.setattr(TrackerOptions, name, method)
    monkeypatch.setattr(Repeater, "loads", 0)
    monkeypatch.setattr(Repeater, "steps", 0)
    return Repeater


@pytest.fixture
def real_tracker(repeater, monkeypatch):
    """Commands load the engine's tracker."""
    monkeypatch.setattr(engine, "Tracker", TRACKER)


@pytest.fixture
def video(tmp_path):
    return write_plain(tmp_path / "video", 4)


@pytest.fixture
def numbered_video(video):
    """The video with file names that count from 1001."""
    for index, path in enumerate(sorted(video.iterdir())):
        path.rename(video / f"shot.{1001 + index}.png")
    return video


@pytest.fixture
def mask(tmp_path):
    return save(tmp_path / "first.png", 1)
