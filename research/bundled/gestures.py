"""Gestures of a scripted person who annotates a clip on the studio's page until its masks match given ones.

``python -m research.bundled.gestures IMAGES MASKS``: folders with the same stems.
A click, a drag and a key count one each. The person judges masks by the given ones, and acts through
`aotlab_studio.session.actions`, as the page does.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
import cv2
import numpy as np

from aotlab import TrackerOptions
from aotlab.media.masks import is_void, list_ids, read_mask
from aotlab.sdk import load_segmenter
from aotlab.tools.cli.command import command
from aotlab.tools.cli.types import Folder, PositiveInt, option
from aotlab_studio.annotate import open_session
from aotlab_studio.document.painting import draw_polygon
from aotlab_studio.session.actions import run_action
from aotlab_studio.tracking.models import TrackerLoader
from research.bundled.clicks import jaccard
from research.bundled.scripted_page import Page

GOOD_IOU, DOUBTFUL_IOU = 0.92, 0.85
"""J at which a person leaves an object, and below which a frame looks wrong"""
MIN_ERROR_AREA = 0.03
"""smallest error that is corrected, relative to the object's area"""
HAND_DEVIATION = 0.7
"""standard deviation of a drawn line in pixels"""
TARGET = 0.9
"""mean J at which the person stops"""
MAX_TRIES = 5
"""corrections of an object on one frame before the person leaves it"""


class Person:
    """Annotates a clip on a page.

    Args:
        page: of the clip.
        truth: masks H×W of all frames.
        seed: of the hand's errors.
    """

    def __init__(self, page: Page, truth: list[np.ndarray], seed: int = 0) -> None:
        self.page, self.truth, self.random = page, truth, np.random.default_rng(seed)
        self.ids = {int(object_id): 0 for object_id in np.unique(truth[0]) if object_id}
        """object id on the page by object id in the given masks"""
        self.trust = {"box": 2, "click": 2}
        """successes less failures of the tools that suggest masks"""

    def annotate(self, max_gestures: int, target: float) -> Iterator[tuple[int, float]]:
        """Yield (gestures, mean J) after each step, until the mean J or the number of gestures is reached."""
        page = self.page
        for object_id in self.ids:
            page.drag_box(self.truth[0] == object_id, new=True)
            self.ids[object_id] = page.chosen or 0
        self.correct_frame(max_gestures)
        page.perform("track", "key", direction="forward")
        page.wait_until_idle()
        seen = {0}
        yield page.total, (mean := self.mean_score())
        while page.total < max_gestures and mean < target and len(seen) < len(self.truth):
            frame, object_id = self.find_worst(seen)
            seen.add(frame)
            page.go_to(frame, self.ids[object_id])
            self.correct_frame(max_gestures)
            page.wait_until_idle()
            yield page.total, (mean := self.mean_score())

    def score(self, frame: int, object_id: int) -> float:
        """Return J of an object on a frame."""
        return float(jaccard(self.page.labels(frame) == self.ids[object_id], self.truth[frame] == object_id))

    def mean_score(self) -> float:
        """Return the mean J of all objects and frames."""
        return float(
            np.mean(
                [self.score(frame, object_id) for frame in range(len(self.truth)) for object_id in self.ids]
            )
        )

    def find_worst(self, seen: set[int]) -> tuple[int, int]:
        """Return frame and object of the first entry of the review that looks wrong; without one, the worst by eye."""
        by_page = {page_id: object_id for object_id, page_id in self.ids.items()}
        for entry in run_action(self.page.session, {"do": "review"}):
            for object_id in (by_page[page_id] for page_id in entry.object_ids):
                if entry.frame not in seen and self.score(entry.frame, object_id) < DOUBTFUL_IOU:
                    return entry.frame, object_id
        rest = [
            (frame, object_id)
            for frame in range(len(self.truth))
            if frame not in seen
            for object_id in self.ids
        ]
        return min(rest, key=lambda place: self.score(*place))

    def correct_frame(self, max_gestures: int) -> None:
        """Correct the objects of the shown frame, each until it looks right or the person gives up."""
        page = self.page
        for object_id, page_id in self.ids.items():
            if page.total < max_gestures and self.score(page.frame, object_id) < GOOD_IOU:
                page.choose_object(page_id)
                if page.frame and self.score(page.frame, object_id) < DOUBTFUL_IOU:
                    self.redraw_box(object_id)
            for _ in range(MAX_TRIES):
                if (
                    page.total >= max_gestures
                    or self.score(page.frame, object_id) >= GOOD_IOU
                    or not self.correct_object(object_id)
                ):
                    break

    def redraw_box(self, object_id: int) -> None:
        """Replace the mask by that of a box, if boxes have helped so far."""
        before = self.score(self.page.frame, object_id)
        if self.trust["box"] > 0:
            self.page.drag_box(self.truth[self.page.frame] == object_id, new=False)
            self.undo_unless_better("box", object_id, before)

    def undo_unless_better(self, tool: str, object_id: int, before: float) -> bool:
        """Undo a suggestion that did not help, and trust its tool less; return whether it helped."""
        helped = self.score(self.page.frame, object_id) > before + 0.01
        self.trust[tool] += 1 if helped else -1
        if not helped and self.page.changed:
            self.page.perform("undo", "key")
        return helped

    def correct_object(self, object_id: int) -> bool:
        """Correct the largest error of an object by part, click or line; return whether there was a visible one."""
        page, truth = self.page, self.truth[self.page.frame] == object_id
        drawn = page.labels(page.frame) == self.ids[object_id]
        regions = [region for error in (truth & ~drawn, drawn & ~truth) for region in _split_regions(error)]
        regions = sorted(
            (region for region in regions if region.sum() >= MIN_ERROR_AREA * truth.sum()),
            key=np.sum,
            reverse=True,
        )
        if not regions:
            return False
        page.choose_object(self.ids[object_id])
        before, positive = self.score(page.frame, object_id), bool((regions[0] & truth).any())
        if positive and self.reassign_part(regions[0], truth):
            return True
        # a click on another object's mask chooses that object
        selects = positive and np.median(page.labels(page.frame)[regions[0]]) > 0
        if self.trust["click"] > 0 and not selects:
            page.choose_tool("box")
            clicks = {"positive" if positive else "negative": [_find_center(regions[0])]}
            page.perform("suggest", "click", separate=True, **clicks)
            if self.undo_unless_better("click", object_id, before):
                return True
        self.draw_outline(regions, truth, drawn)
        return True

    def reassign_part(self, region: np.ndarray, truth: np.ndarray) -> bool:
        """Give a part of another object to the chosen one by a click, if nearly all of it is the chosen one's."""
        point = _find_center(region)
        labels = self.page.labels(self.page.frame)
        other = labels[int(point[1]), int(point[0])]
        parts = cv2.connectedComponents((labels == other).astype(np.uint8))[1]
        part = parts == parts[int(point[1]), int(point[0])]
        if not other or (part & truth).sum() < 0.8 * part.sum():
            return False
        self.page.choose_tool("reassign")
        return self.page.perform("reassign", "click", point=point) is not None

    def draw_outline(self, regions: list[np.ndarray], truth: np.ndarray, drawn: np.ndarray) -> None:
        """Draw a line around the largest error; around the whole object if that is less work."""
        page = self.page
        page.choose_tool("lasso")
        positive = bool((regions[0] & truth).any())
        line = self.jitter_outline(regions[0])
        area = draw_polygon(truth.shape, line)
        after = drawn | area if positive else drawn & ~area
        if len(regions) <= 3 and jaccard(after, truth) > jaccard(drawn, truth):
            page.perform("outline", "drag", points=line, erase=not positive)
            return
        page.perform("clear", "key")
        for part in [part for part in _split_regions(truth) if part.sum() >= MIN_ERROR_AREA * truth.sum()]:
            page.perform("outline", "drag", points=self.jitter_outline(part))

    def jitter_outline(self, region: np.ndarray) -> list[tuple[float, float]]:
        """Return the outline of a region as a hand draws it."""
        outlines = cv2.findContours(region.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
        corners = cv2.approxPolyDP(max(outlines, key=len), 1.0, True)[:, 0].astype(float)
        corners = np.concatenate([corners] * 3)[: max(3, len(corners))]
        return [
            (x, y) for x, y in (corners + 0.5 + self.random.normal(0, HAND_DEVIATION, corners.shape)).tolist()
        ]


def _split_regions(mask: np.ndarray) -> list[np.ndarray]:
    count, parts = cv2.connectedComponents(mask.astype(np.uint8))
    return [parts == index for index in range(1, count)]


def _find_center(region: np.ndarray) -> tuple[float, float]:
    """Return the point (x, y) farthest from the region's edge."""
    depth = cv2.distanceTransform(np.pad(region, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    return float(x) + 0.5, float(y) + 0.5


@command("python -m research.bundled.gestures")
@click.argument("images", type=Folder, metavar="IMAGES", help="folder of images")
@click.argument("masks", type=Folder, metavar="MASKS", help="folder of PNGs with the same stems")
@option("--frames", type=PositiveInt, default=40, help="frames of the video")
@option("--max-gestures", type=PositiveInt, default=150, help="gestures after which to stop")
def main(*, images: Path, masks: Path, frames: int, max_gestures: int) -> int:
    """Count the gestures of a scripted person on the studio's page."""
    with tempfile.TemporaryDirectory() as folder:
        clip, truth = Path(folder) / "clip", []
        clip.mkdir()
        for image in sorted(images.iterdir())[:frames]:
            shutil.copy(image, clip)
            labels = read_mask(masks / f"{image.stem}.png")
            truth.append(np.where(is_void(labels), np.uint8(not list_ids(labels)), labels))
        session = open_session(str(clip), TrackerLoader(TrackerOptions()), load_segmenter())
        page = Page(session)
        for gestures, score in Person(page, truth).annotate(max_gestures, TARGET):
            print(f"{gestures:4} gestures  mean J {score:.3f}", flush=True)
        kinds = ", ".join(f"{count} {kind}s" for kind, count in page.gestures.items())
        print(f"{images.name}: {len(truth)} frames, {page.total} gestures ({kinds}), mean J {score:.3f}")
        session.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
