"""The page in a real browser on the bundled clip, with the bundled model: painting, tracking, correcting, kills."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
from PIL import Image

from aotlab import Tracker
from studio.tests.annotation.browser import FRAMES, Page, Program, iou, needs_browser, true_mask
from studio.tests.annotation.clips import open_session

pytestmark = needs_browser

NUMBER, LAST = 4, 15
"""The object of the bundled clip that is painted, and how far it is tracked."""
SPOILT = 12
"""The frame that is spoilt and mended; the three behind it are tracked again."""


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
    session = open_session(clip, Tracker.from_checkpoint())
    yield session
    session.close()


def scores(page, frames):
    return [iou(page.labels(index) == 1, true_mask(index, NUMBER)) for index in frames]


def exported(page, tmp_path, index):
    """The mask of a frame in the archive that the page exports."""
    page.key("Shift+E")
    page.tab.click("#export-start")
    page.tab.wait_for_selector("#download:not([hidden])")
    with page.tab.expect_download() as download:
        page.tab.click("#download")
    download.value.save_as(tmp_path / "export.zip")
    with zipfile.ZipFile(tmp_path / "export.zip") as archive:
        assert "overlay.mp4" in archive.namelist()
        with archive.open(f"masks/{index:05d}.png") as file, Image.open(file) as image:
            return np.array(image)


@pytest.mark.slow
def test_an_object_painted_with_the_mouse_is_tracked_corrected_undone_and_exported(page, tmp_path):
    page.tab.uncheck("#propagate")
    page.paint(true_mask(0, NUMBER))
    assert iou(page.labels(0) == 1, true_mask(0, NUMBER)) > 0.9
    page.track("t")
    assert np.mean(scores(page, range(1, LAST + 1))) > 0.8

    # a frame is spoilt and tracked on from, then corrected and tracked on from again
    later = range(SPOILT + 1, LAST + 1)
    tracked = scores(page, later)
    page.seek(SPOILT)
    page.key("e", "]", "]", "]", "]", "]")
    rows, columns = np.nonzero(true_mask(SPOILT, NUMBER))
    for x in range(int(columns.min()), int(columns.mean()), 18):
        page.drag((x, float(rows.min())), (x, float(rows.max())))
    page.track("t")
    spoilt = scores(page, later)
    assert spoilt[0] < tracked[0] - 0.05  # later frames recover
    page.seek(SPOILT)
    page.key("b")
    page.key("[", "[", "[", "[", "[")
    page.paint(true_mask(SPOILT, NUMBER))
    page.track("t")
    assert scores(page, later)[0] > spoilt[0] + 0.05

    before = page.labels(later[0])
    page.key_done("Control+z")
    assert scores(page, later) == pytest.approx(spoilt)
    page.key_done("Control+Shift+z")
    assert (page.labels(later[0]) == before).all()

    assert (exported(page, tmp_path, later[0]) == before).all()


@pytest.mark.slow
def test_after_a_reload_and_a_kill_in_the_middle_nothing_is_lost(context, clip):
    program = Program(clip)
    page = Page(context, program.url)
    page.key("b")
    page.paint(true_mask(0, NUMBER))
    painted = page.labels(0)
    page.open(page.tab.url)
    assert (page.labels(0) == painted).all()
    page.key("t")
    page.tab.wait_for_function("() => document.querySelector('#strips').ariaValueNow >= 3")
    program.kill()
    page.tab.wait_for_selector("#status.error")
    again = Program(clip)
    try:
        page.open(again.url)
        assert (page.labels(0) == painted).all()
        assert np.mean(scores(page, (1, 2, 3))) > 0.8
        page.seek(3)
        page.track("t", last=5)
        assert np.mean(scores(page, range(1, 6))) > 0.8
    finally:
        again.close()
    assert page.problems == []
