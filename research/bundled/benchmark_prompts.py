"""Benchmark of prompts: J after a box and after one to five simulated clicks, by object size.

``python -m research.bundled.benchmark_prompts DATA``
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

import click
import numpy as np

from aotlab.configs.files import BUNDLED_PROMPTS
from aotlab.media.images import read_image
from aotlab.media.masks import VOID, read_mask
from aotlab.media.prompt import Point, Prompt, mask_to_box
from aotlab.prompting.load import load_segmenter
from aotlab.tools.cli.command import command
from aotlab.tools.cli.types import File, Folder, PositiveInt, option
from aotlab.utils.progress import progress_bar
from research.bundled.clicks import jaccard, next_click
from research.bundled.prompt_samples import AnnotatedImage, list_images, pick_object, split_labels
from research.bundled.prompt_settings import PromptSource, load_prompt_training

Segmenter = Callable[[np.ndarray, Mapping[int, Prompt]], np.ndarray]
"""From a frame H×W×3 uint8 and prompts by object id to object ids H×W."""
CLICK_COUNTS = (1, 2, 3, 5)
SIZE_CLASSES = {"below 2 %": (0.0, 0.02), "2 to 10 %": (0.02, 0.1), "above 10 %": (0.1, 1.01)}
"""Classes of object sizes as shares of the frame."""


@dataclass(frozen=True)
class Case:
    """One object of one frame."""

    name: str
    frame: np.ndarray = field(repr=False)
    """H×W×3 uint8."""
    truth: np.ndarray = field(repr=False)
    """H×W uint8, 1 on the object, 0 on background, 255 where pixels do not count."""

    @property
    def share(self) -> float:
        """Share of the frame that the object covers."""
        return float((self.truth == 1).mean())


@dataclass(frozen=True)
class Result:
    """J of one object, 0 to 1."""

    share: float
    box: float
    clicks: list[float]
    """After each click; the last value is also that of all later ones."""

    def iou_after(self, count: int) -> float:
        """Return J after ``count`` clicks."""
        return self.clicks[min(count, len(self.clicks)) - 1]


def read_held_out_cases(root: Path, sources: Sequence[PromptSource], limit: int) -> Iterator[Case]:
    """Yield objects that the training of prompts does not see, evenly chosen: one of an image, of videos the first.

    Args:
        root: folder of the training sets.
        sources: of the recipe.
        limit: largest number of objects.
    """
    images_by_source: dict[Path, AnnotatedImage] = {}
    for image in list_images(root, sources, held_out=True):
        images_by_source.setdefault(image.mask.parent if image.video else image.mask, image)
    images, count = list(images_by_source.values()), min(limit, len(images_by_source))
    for image in (images[index * len(images) // count] for index in range(count)):
        rng = np.random.default_rng(zlib.crc32(image.mask.stem.encode()))
        labels = read_mask(image.mask)
        if image.parts > 0.5:  # the parts of one person count as one object
            labels[(labels > 0) & (labels != VOID)] = 1
        picked = pick_object(labels, rng, together=0)
        if picked is not None:
            truth, _ = split_labels(*picked)
            yield Case(f"{image.group}/{image.mask.stem}", read_image(image.image), truth)


def evaluate_case(segmenter: Segmenter, case: Case) -> Result:
    """Segment an object from a box, and from up to five clicks."""
    box = jaccard(segmenter(case.frame, {1: Prompt(box=mask_to_box(case.truth == 1))}) == 1, case.truth)
    points: list[Point] = []
    labels: list[int] = []
    scores: list[float] = []
    prediction = np.zeros(case.truth.shape, bool)
    while len(scores) < max(CLICK_COUNTS) and (next_point := next_click(prediction, case.truth)) is not None:
        points.append(next_point[0])
        labels.append(next_point[1])
        prompt = Prompt(points, labels, mask=prediction if scores else None)
        prediction = segmenter(case.frame, {1: prompt}) == 1
        scores.append(jaccard(prediction, case.truth))
    return Result(case.share, box, scores)


def format_table(results: Sequence[Result]) -> str:
    """Return a Markdown table of the mean J in percent over all objects and by size."""
    titles = ["objects", "n", "box", *(f"{count} clicks" for count in CLICK_COUNTS)]
    lines = [f"| {' | '.join(titles)} |".replace("1 clicks", "1 click"), "|" + "---|" * len(titles)]
    for name, (low, high) in {"all": (0.0, 1.01), **SIZE_CLASSES}.items():
        chosen = [result for result in results if low <= result.share < high]
        if not chosen:
            continue
        values = [mean(result.box for result in chosen)]
        values += [mean(result.iou_after(count) for result in chosen) for count in CLICK_COUNTS]
        cells = [name, str(len(chosen)), *(f"{100 * value:.1f}" for value in values)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


@command("python -m research.bundled.benchmark_prompts")
@click.argument("data", type=Folder, help="folder of the training sets")
@option("--objects", type=PositiveInt, default=80, help="objects of images held out by recipes/prompts.yaml")
@option("--checkpoint", type=File, default=BUNDLED_PROMPTS, help="prompt network")
def main(*, data: Path, objects: int, checkpoint: Path) -> int:
    """Measure masks from a box and from simulated clicks."""
    cases = list(read_held_out_cases(data, load_prompt_training().sources, objects))
    segmenter = load_segmenter(checkpoint=checkpoint)
    results: list[Result] = []
    with progress_bar(len(cases), unit="object") as bar:
        for case in cases:
            results.append(evaluate_case(segmenter, case))
            bar.update()
    print(format_table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
