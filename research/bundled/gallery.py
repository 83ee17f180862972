"""Images of the gallery page: the bundled model on bundled clips.

``python -m research.bundled.gallery [DOCS]``
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from PIL import Image, ImageDraw

from aotlab import Prompt, Tracker, draw_overlay, read_mask
from aotlab.configs.files import ROOT
from aotlab.tools.cli.command import command
from aotlab.tools.cli.types import Folder
from aotlab_video import open_frames
from research.bundled.clicks import jaccard

SAMPLE = ROOT / "datasets" / "sample"
RABBIT = SAMPLE / "rabbit.mp4"
POND = SAMPLE / "JPEGImages" / "480p" / "pond"
POND_MASKS = SAMPLE / "Annotations" / "480p" / "pond"
PANEL = (427, 240)
"""Width and height of one frame in an image."""
ANIMATION = (560, 314)


@dataclass(frozen=True)
class Example:
    """One run of the bundled model: a clip, prompts by object id or a drawn mask, and the frames to show."""

    name: str
    clip: Path
    prompts: Mapping[int, Prompt] | Path
    shown: tuple[int, int, int, int]
    truth: Path | None = None
    """Folder with a mask per frame."""


EXAMPLES = (
    Example("rabbit_box", RABBIT, {
        1: Prompt(box=(150, 2, 310, 410), points=[(170, 230)], labels=[0])
    }, (0, 29, 58, 87)),
    Example("koi_boxes", POND, {
        1: Prompt(box=(50, 98, 250, 104)), 2: Prompt(box=(92, 262, 160, 174)),
        3: Prompt(box=(546, 316, 226, 108)), 4: Prompt(box=(602, 28, 170, 196)),
    }, (0, 14, 25, 39), POND_MASKS),
    Example("rabbit_stones", RABBIT, SAMPLE / "rabbit.png", (0, 29, 58, 87)),
    Example("koi_click", POND, {1: Prompt(points=[(140, 150)])}, (0, 14, 25, 39), POND_MASKS),
    Example("ear_click", RABBIT, {1: Prompt(points=[(284, 36)])}, (0, 29, 58, 87)),
)  # fmt: skip
HERO = "rabbit_box"


@command("python -m research.bundled.gallery")
@click.argument("docs", type=Folder, metavar="[DOCS]", default=ROOT / "docs", help="output folder (default: docs)")
def main(*, docs: Path) -> int:
    """Write DOCS/gallery, an image of four frames per example, and DOCS/track.webp, the animation of the front page.

    Print the mean J of examples with known masks.
    """
    gallery = docs / "gallery"
    gallery.mkdir(parents=True, exist_ok=True)
    for example in EXAMPLES:
        frames = list(open_frames(example.clip))
        labels = track_example(example, frames)
        draw_panels(example, frames, labels).save(gallery / f"{example.name}.jpg", quality=85)
        if example.name == HERO:
            save_animation(frames, labels, docs / "track.webp")
        if example.truth is not None:
            print(example.name, {object_id: f"J {value:.1f}" for object_id, value in score(example, labels)})
    return 0


def track_example(example: Example, frames: list[np.ndarray]) -> list[np.ndarray]:
    """Return the labels H×W of every frame."""
    tracker = Tracker.from_pretrained()
    if isinstance(example.prompts, Path):
        first = tracker.step(frames[0], read_mask(example.prompts))
    else:
        first = tracker.step(frames[0], prompts=example.prompts)
    return [first.labels, *(tracker.step(frame).labels for frame in frames[1:])]


def score(example: Example, labels: list[np.ndarray]) -> list[tuple[int, float]]:
    """Return the mean J in percent of each object, without the first frame."""
    assert example.truth is not None
    truth = [read_mask(path) for path in sorted(example.truth.glob("*.png"))]
    first = labels[0]
    result = []
    for object_id in np.unique(first[first > 0]).tolist():
        counts = np.bincount(truth[0][first == object_id], minlength=2)
        true_id = int(counts[1:].argmax()) + 1
        values = [
            jaccard(mask == true_id, prediction == object_id)
            for mask, prediction in zip(truth[1:], labels[1:], strict=True)
        ]
        result.append((object_id, 100 * float(np.mean(values))))
    return result


def draw_panels(example: Example, frames: list[np.ndarray], labels: list[np.ndarray]) -> Image.Image:
    """Return the shown frames in two rows, the prompts on the first."""
    width, height = PANEL
    image = Image.new("RGB", (2 * width, 2 * height))
    for place, index in enumerate(example.shown):
        panel = Image.fromarray(draw_overlay(frames[index], labels[index]))
        if place == 0 and not isinstance(example.prompts, Path):
            draw_prompts(panel, example.prompts)
        panel = panel.resize(PANEL, Image.Resampling.LANCZOS)
        pen = ImageDraw.Draw(panel)
        pen.text((8, height - 22), f"frame {index}", "white", font_size=14, stroke_width=2, stroke_fill="black")
        image.paste(panel, (place % 2 * width, place // 2 * height))
    return image


def draw_prompts(image: Image.Image, prompts: Mapping[int, Prompt]) -> None:
    """Draw boxes and points into an image, negative points in red."""
    pen = ImageDraw.Draw(image)
    for prompt in prompts.values():
        if prompt.box is not None:
            x, y, width, height = prompt.box
            pen.rectangle((x, y, x + width, y + height), outline="white", width=3)
        for clicks, color in ((prompt.positive_points, "black"), (prompt.negative_points, "red")):
            for x, y in clicks:
                pen.ellipse((x - 9, y - 9, x + 9, y + 9), fill=color, outline="white", width=4)


def save_animation(frames: list[np.ndarray], labels: list[np.ndarray], path: Path) -> None:
    """Write every second frame as an animated WebP at half speed of the film's 25 frames per second."""
    images = [
        Image.fromarray(draw_overlay(frame, mask)).resize(ANIMATION, Image.Resampling.LANCZOS)
        for frame, mask in zip(frames[::2], labels[::2], strict=True)
    ]
    images[0].save(path, save_all=True, append_images=images[1:], duration=80, loop=0, quality=60, method=6)


if __name__ == "__main__":
    sys.exit(main())
