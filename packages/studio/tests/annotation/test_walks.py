"""End-to-end sessions on the page, with the bundled model and from a batch of CVAT files to corrected ones."""

import re
import signal
import subprocess
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aotlab import Tracker, TrackerOptions, read_mask
from aotlab.engine.tracking import tracker as engine
from aotlab_studio import annotate
from aotlab_studio.tracking.models import TrackerLoader
from aotlab_testing.browser import iou, needs_browser
from aotlab_testing.files import SAMPLE
from aotlab_testing.processes import WAIT_SECONDS, read_line, start_python
from aotlab_video import VideoInfo, find_mask_writer, read_annotations
from aotlab_video.commands import track as cli
from studio.tests.annotation.browser import FRAMES, SEQUENCE, Page
from studio.tests.annotation.clips import LENGTH, annotate_labels, draw_folder, truth
from studio.tests.annotation.sessions import open_session
from studio.tests.annotation.trackers import TruthTracker

pytestmark = [needs_browser, pytest.mark.slow]

NUMBER, LAST = 4, 15
"""The object of the bundled clip that is painted, and how far it is tracked."""


def true_mask(index, object_id):
    """The ground truth of an object of the bundled clip."""
    return read_mask(SAMPLE / "Annotations" / "480p" / SEQUENCE / f"{index:05d}.png") == object_id


class Program:
    """``aotlab annotate`` in a separate process."""

    def __init__(self, video: Path, *options: str) -> None:
        self.process = start_python("-m", "aotlab", "annotate", video, "--no-browser", *options, stderr=None)
        found = (re.search(r"http://\S+", line) for line in iter(partial(read_line, self.process), ""))
        self.url = next((match[0] for match in found if match), "")
        assert self.url, "the program did not start"

    def kill(self) -> None:
        """End it without any warning."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(WAIT_SECONDS)

    def close(self) -> None:
        """End it as Ctrl-C does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()


@pytest.fixture
def clip(tmp_path):
    """The first frames of the bundled clip."""
    folder = tmp_path / "shapes"
    folder.mkdir()
    for index in range(LAST + 1):
        (folder / f"{index:05d}.jpg").write_bytes((FRAMES / f"{index:05d}.jpg").read_bytes())
    return folder


@pytest.fixture
def session(clip):
    session = open_session(clip, Tracker.from_pretrained())
    yield session
    session.close()


def scores(page, frames):
    return [iou(page.labels(index) == 1, true_mask(index, NUMBER)) for index in frames]


def test_reload_and_kill_keep_every_edit(context, clip):
    program = Program(clip)
    page = Page(context, program.url)
    page.key("b")
    page.paint(true_mask(0, NUMBER))
    painted = page.labels(0)
    page.open(page.tab.url)
    np.testing.assert_array_equal(page.labels(0), painted)
    page.key("t")
    page.tab.wait_for_function("() => document.querySelector('#strips').ariaValueNow >= 3")
    program.kill()
    page.tab.wait_for_selector("#status.error")
    again = Program(clip)
    try:
        page.open(again.url)
        np.testing.assert_array_equal(page.labels(0), painted)
        assert np.mean(scores(page, (1, 2, 3))) > 0.8
        page.seek(3)
        page.track("t", last=5)
        assert np.mean(scores(page, range(1, 6))) > 0.8
    finally:
        again.close()
    assert page.problems == []


CLIPS = ("a", "b", "c")


class LosingTracker(TruthTracker):
    """Follows the truth, and loses all objects of the second clip."""

    clips = 0
    config = None

    @classmethod
    def from_pretrained(cls, path, *, config=None, overrides=(), device="cpu", protocol="bounded"):
        return cls()

    def reset(self, length=None):
        type(self).clips += length is not None
        super().reset(length)

    def change_logits(self, logits, index, *, is_drawn):
        if self.clips == 2 and not is_drawn:
            logits[0], logits[1:] = 2.0, -2.0
        return logits


@pytest.fixture
def batch(tmp_path, monkeypatch):
    """A list of three clips, tracked."""
    monkeypatch.setattr(engine, "Tracker", LosingTracker)
    monkeypatch.setattr(LosingTracker, "clips", 0)
    for name in CLIPS:
        draw_folder(tmp_path / name)
        first = annotate_labels({0: truth(0)}, {1: "cell", 2: "dish"})
        find_mask_writer("cvat").write(tmp_path / f"{name}.xml", first, VideoInfo(name, first.size, LENGTH))
    (tmp_path / "jobs.csv").write_text("video,masks\n" + "".join(f"{name},{name}.xml\n" for name in CLIPS))
    command = ["--jobs", str(tmp_path / "jobs.csv"), "--output", str(tmp_path / "out"), "--write", "cvat"]
    assert cli.main(command) == 0
    return tmp_path / "out"


def test_batch_of_cvat_files_is_corrected_and_exported(context, batch, serve, tmp_path):
    session = annotate.open_session(str(batch / "b"), TrackerLoader(TrackerOptions()))
    session.runner.make_tracker = TruthTracker
    page = Page(context, serve(session).url)
    assert page.tab.inner_text("#objects").split("\n")[0].startswith("cell")
    assert not page.labels(4).any()
    page.tab.wait_for_selector("#review li")
    page.key("Home")
    page.track("t", last=LENGTH - 1)
    np.testing.assert_array_equal(page.labels(4), truth(4))

    page.key("Shift+E")
    for name, wanted in (("masks", False), ("overlay", False), ("cvat", True)):
        page.tab.set_checked(f"#outputs input[name={name}]", wanted)
    page.tab.click("#export-start")
    page.tab.wait_for_selector("#download:not([hidden])")
    with page.tab.expect_download() as download:
        page.tab.click("#download")
    download.value.save_as(tmp_path / "corrected.zip")
    page.tab.close()
    assert page.problems == []
    with zipfile.ZipFile(tmp_path / "corrected.zip") as archive:
        archive.extract("cvat.xml", tmp_path)
    again = read_annotations(tmp_path / "cvat.xml", VideoInfo.from_source(session.document.frames.source))
    assert again.class_names == {1: "cell", 2: "dish"}
    for index in range(LENGTH):
        np.testing.assert_array_equal(again.mask(index), truth(index))
    with Image.open(batch / "b" / "thumbnail.jpg") as image:
        assert np.array(image).any()
