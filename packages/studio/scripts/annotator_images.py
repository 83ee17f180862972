"""Images of docs/annotate.md, which need Chromium.

``PYTHONPATH=packages python packages/studio/scripts/annotator_images.py docs`` writes them.
"""

from __future__ import annotations

import io
import re
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from aotlab_testing.browser import CHROMIUM, FLAGS
from studio.tests.annotation.browser import FRAMES, Page
from studio.tests.annotation.test_walks import Program, true_mask

FRAME_SECONDS = 0.5
"""Seconds that an image of the recording stays."""
SIZE = (960, 540)


class Recorder:
    """Images of a tab, put together as an animated WebP."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.images: list[Image.Image] = []
        self.seconds: list[float] = []

    def screenshot(self) -> Image.Image:
        """The tab as it is."""
        return Image.open(io.BytesIO(self.page.tab.screenshot())).convert("RGB")

    def add_image(self, seconds: float = FRAME_SECONDS) -> None:
        """Add an image that stays for ``seconds``."""
        self.images.append(self.screenshot().resize(SIZE, Image.Resampling.LANCZOS))
        self.seconds.append(seconds)

    def drag(self, *points: tuple[float, float]) -> None:
        """Drag as `Page.drag` does, with images between the points."""
        tab = self.page.tab
        with self.page.done():
            tab.mouse.move(*self.page.at(*points[0]))
            tab.mouse.down()
            for point in points[1:]:
                tab.mouse.move(*self.page.at(*point), steps=3)
                self.add_image(0.25)
            tab.mouse.up()
        self.add_image(0.8)

    def save(self, path: Path) -> None:
        """Write the recording."""
        durations = [round(1000 * seconds) for seconds in self.seconds]
        first, *others = self.images
        first.save(path, save_all=True, append_images=others, duration=durations, loop=0, quality=60, method=6)


def box(number: int, margin: int = 8) -> tuple[tuple[float, float], ...]:
    """Points of a drag over the box of an object of the first frame."""
    rows, columns = np.nonzero(true_mask(0, number))
    left, right = float(columns.min() - margin), float(columns.max() + margin)
    top, bottom = float(rows.min() - margin), float(rows.max() + margin)
    shares = (0, 0.3, 0.7, 1)
    return tuple((left + share * (right - left), top + share * (bottom - top)) for share in shares)


def record_demo(recorder: Recorder, docs: Path) -> None:
    """Box three objects, track them and open the review, with an image after each step."""
    page = recorder.page
    recorder.add_image(1.5)
    page.key("x")
    for number in (4, 1, 3):
        if number != 4:
            page.key_done("n")
        recorder.drag(*box(number))
    # the speed is that of this machine
    page.tab.evaluate("document.getElementById('job-text').style.color = 'transparent'")
    page.key("t")
    page.tab.wait_for_selector("#job:not([hidden])")
    shown = 0
    while page.tab.is_visible("#job"):
        done = int((re.findall(r"(\d+) of", page.tab.inner_text("#job-text")) or [0])[0])
        if done > shown + 1:  # every second frame, for a small file
            recorder.add_image(0.4)
            shown = done
        page.tab.wait_for_timeout(60)
    recorder.add_image(1.5)
    page.tab.emulate_media(color_scheme="dark")
    page.key(".")
    page.tab.wait_for_timeout(1500)
    recorder.add_image(2)
    save(recorder, docs / "annotate_review.png")
    page.key("Shift+E")
    page.tab.wait_for_timeout(500)
    recorder.add_image(2)


def save(recorder: Recorder, path: Path) -> None:
    """Write an image of the tab, with as many colors as look the same."""
    recorder.screenshot().quantize(256, kmeans=2, dither=Image.Dither.NONE).save(path, optimize=True)


def main(docs: Path) -> None:
    """Track three fish of the bundled clip, and write the images into a folder."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "pond"
        shutil.copytree(FRAMES, video)
        program = Program(video)
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
                context = browser.new_context(viewport={"width": 1280, "height": 720}, color_scheme="light")
                recorder = Recorder(Page(context, program.url))
                record_demo(recorder, docs)
                recorder.save(docs / "annotate.webp")
                browser.close()
        finally:
            program.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
