"""Gestures of a scripted person who annotates a clip on the annotator's page until its masks match given ones.

``python -m research.bundled.gestures IMAGES MASKS``: folders with the same stems.
A click, a drag and a key count one each. The person judges masks by the given ones, and acts through
`annotation.actions`, as the page does.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np

from aotlab.media.masks import read_mask, resolve_void
from aotlab_studio.annotate import open_session
from aotlab_studio.annotate import parse as parse_annotate
from aotlab_studio.project.painting import draw_polygon
from aotlab_studio.server.actions import run_action
from research.bundled.clicks import jaccard
from research.bundled.scripted_page import Page

GOOD, DOUBTFUL = 0.92, 0.85
"""J at which a person leaves an object, and below which a frame looks wrong"""
VISIBLE = 0.03
"""smallest error that is corrected, relative to the object's area"""
HAND = 0.7
"""standard deviation of a drawn line in pixels"""
MOST_TRIES = 5
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
        self.ids = {int(each): 0 for each in np.unique(truth[0]) if each}
        """object id on the page by object id in the given masks"""
        self.trust = {"box": 2, "click": 2}
        """successes less failures of the tools that suggest masks"""

    def annotate(self, most: int, target: float) -> Iterator[tuple[int, float]]:
        """Yield (gestures, mean J) after each step, until the mean J or the number of gestures is reached."""
        page = self.page
        for each in self.ids:
            page.box(self.truth[0] == each, new=True)
            self.ids[each] = page.chosen or 0
        self.improve(most)
        page.do("track", "key", direction="forward")
        page.settle()
        seen = {0}
        yield page.total, (mean := self.mean())
        while page.total < most and mean < target and len(seen) < len(self.truth):
            frame, each = self.worst(seen)
            seen.add(frame)
            page.go_to(frame, self.ids[each])
            self.improve(most)
            page.settle()
            yield page.total, (mean := self.mean())

    def score(self, frame: int, each: int) -> float:
        """Return J of an object on a frame."""
        return float(jaccard(self.page.labels(frame) == self.ids[each], self.truth[frame] == each))

    def mean(self) -> float:
        """Return the mean J of all objects and frames."""
        return float(
            np.mean([self.score(frame, each) for frame in range(len(self.truth)) for each in self.ids])
        )

    def worst(self, seen: set[int]) -> tuple[int, int]:
        """Return frame and object of the first entry of the review that looks wrong; without one, the worst by eye."""
        by_page = {page_id: each for each, page_id in self.ids.items()}
        for entry in run_action(self.page.session, {"do": "review"}):
            each = by_page[entry.object_id]
            if entry.frame not in seen and self.score(entry.frame, each) < DOUBTFUL:
                return entry.frame, each
        rest = [(frame, each) for frame in range(len(self.truth)) if frame not in seen for each in self.ids]
        return min(rest, key=lambda place: self.score(*place))

    def improve(self, most: int) -> None:
        """Correct the objects of the shown frame, each until it looks right or the person gives up."""
        page = self.page
        for each, page_id in self.ids.items():
            if page.total < most and self.score(page.frame, each) < GOOD:
                page.choose(page_id)
                if page.frame and self.score(page.frame, each) < DOUBTFUL:
                    self.box_again(each)
            for _ in range(MOST_TRIES):
                if page.total >= most or self.score(page.frame, each) >= GOOD or not self.correct(each):
                    break

    def box_again(self, each: int) -> None:
        """Replace the mask by that of a box, if boxes have helped so far."""
        before = self.score(self.page.frame, each)
        if self.trust["box"] > 0:
            self.page.box(self.truth[self.page.frame] == each, new=False)
            self.judge("box", each, before)

    def judge(self, tool: str, each: int, before: float) -> bool:
        """Undo a suggestion that did not help, and trust its tool less; return whether it helped."""
        helped = self.score(self.page.frame, each) > before + 0.01
        self.trust[tool] += 1 if helped else -1
        if not helped and self.page.changed:
            self.page.do("undo", "key")
        return helped

    def correct(self, each: int) -> bool:
        """Correct the largest error of an object by part, click or line; return whether there was a visible one."""
        page, truth = self.page, self.truth[self.page.frame] == each
        mine = page.labels(page.frame) == self.ids[each]
        regions = [region for error in (truth & ~mine, mine & ~truth) for region in _regions(error)]
        regions = sorted(
            (one for one in regions if one.sum() >= VISIBLE * truth.sum()), key=np.sum, reverse=True
        )
        if not regions:
            return False
        page.choose(self.ids[each])
        before, positive = self.score(page.frame, each), bool((regions[0] & truth).any())
        if positive and self.give_part(regions[0], truth):
            return True
        # a click on another object's mask chooses that object
        selects = positive and np.median(page.labels(page.frame)[regions[0]]) > 0
        if self.trust["click"] > 0 and not selects:
            page.use("box")
            clicks = {"positive" if positive else "negative": [_middle(regions[0])]}
            page.do("suggest", "click", refine=True, **clicks)
            if self.judge("click", each, before):
                return True
        self.draw(regions, truth, mine)
        return True

    def give_part(self, region: np.ndarray, truth: np.ndarray) -> bool:
        """Give a part of another object to the chosen one by a click, if nearly all of it is the chosen one's."""
        point = _middle(region)
        labels = self.page.labels(self.page.frame)
        other = labels[int(point[1]), int(point[0])]
        parts = cv2.connectedComponents((labels == other).astype(np.uint8))[1]
        part = parts == parts[int(point[1]), int(point[0])]
        if not other or (part & truth).sum() < 0.8 * part.sum():
            return False
        self.page.use("part")
        return self.page.do("reassign", "click", point=point) is not None

    def draw(self, regions: list[np.ndarray], truth: np.ndarray, mine: np.ndarray) -> None:
        """Draw a line around the largest error; around the whole object if that is less work."""
        page = self.page
        page.use("lasso")
        positive = bool((regions[0] & truth).any())
        line = self.line(regions[0])
        area = draw_polygon(truth.shape, line)
        after = mine | area if positive else mine & ~area
        if len(regions) <= 3 and jaccard(after, truth) > jaccard(mine, truth):
            page.do("outline", "drag", points=line, erase=not positive)
            return
        page.do("clear", "key")
        for part in [part for part in _regions(truth) if part.sum() >= VISIBLE * truth.sum()]:
            page.do("outline", "drag", points=self.line(part))

    def line(self, region: np.ndarray) -> list[tuple[float, float]]:
        """Return the outline of a region as a hand draws it."""
        outlines = cv2.findContours(region.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
        corners = cv2.approxPolyDP(max(outlines, key=len), 1.0, True)[:, 0].astype(float)
        corners = np.concatenate([corners] * 3)[: max(3, len(corners))]
        return [(x, y) for x, y in (corners + 0.5 + self.random.normal(0, HAND, corners.shape)).tolist()]


def _regions(mask: np.ndarray) -> list[np.ndarray]:
    count, parts = cv2.connectedComponents(mask.astype(np.uint8))
    return [parts == index for index in range(1, count)]


def _middle(region: np.ndarray) -> tuple[float, float]:
    """Return the point (x, y) farthest from the region's edge."""
    depth = cv2.distanceTransform(np.pad(region, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    return float(x) + 0.5, float(y) + 0.5


def parse(argv: list[str] | None) -> Namespace:
    """Read the command line."""
    parser = ArgumentParser(description="Count the gestures of a scripted person on the annotator's page.")
    parser.add_argument("images", type=Path, metavar="IMAGES", help="folder of images")
    parser.add_argument("masks", type=Path, metavar="MASKS", help="folder of PNGs with the same stems")
    parser.add_argument("--frames", type=int, default=40, help="frames of the clip (default: 40)")
    parser.add_argument("--most", type=int, default=150, help="gestures at which to stop (default: 150)")
    parser.add_argument("--target", type=float, default=0.9, help="mean J at which to stop (default: 0.9)")
    return parser.parse_args(argv)


def annotate(args: Namespace) -> None:
    """Annotate a clip and print J by gestures."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as leaving:
        clip, truth = Path(folder) / "clip", []
        clip.mkdir()
        for image in sorted(args.images.iterdir())[: args.frames]:
            shutil.copy(image, clip)
            truth.append(resolve_void(read_mask(args.masks / f"{image.stem}.png")))
        session = open_session(parse_annotate([str(clip)]), leaving)
        page = Page(session)
        for gestures, score in Person(page, truth).annotate(args.most, args.target):
            print(f"{gestures:4} gestures  mean J {score:.3f}", flush=True)
        kinds = ", ".join(f"{count} {kind}s" for kind, count in page.gestures.items())
        print(f"{args.images.name}: {len(truth)} frames, {page.total} gestures ({kinds}), mean J {score:.3f}")
        session.close()


def main(argv: list[str] | None = None) -> int:
    """Print J by gestures; return the exit status."""
    annotate(parse(argv))
    return 0


if __name__ == "__main__":
    sys.exit(main())
