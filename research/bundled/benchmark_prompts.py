"""Benchmark of prompts: J after a box and after 1 to 20 simulated clicks, by object size.

``python -m research.bundled.benchmark_prompts DATA``
"""

from __future__ import annotations

import json
import time
import zlib
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np

from aotlab.configs.files import BUNDLED_CHECKPOINT
from aotlab.dataloaders.benchmarks.sequences import require_folder
from aotlab.engine.prompting.network import NetworkSegmenter
from aotlab.engine.prompting.onnx import OnnxSegmenter
from aotlab.media.images import read_image
from aotlab.media.masks import VOID, read_mask
from aotlab.media.prompt import Point, Prompt, find_box
from aotlab.networks.fast.optimize import optimize
from aotlab.networks.weights.checkpoints import load_checkpoint
from aotlab.utils.errors import InputError
from aotlab.utils.progress import progress_bar
from research.bundled.clicks import jaccard, next_click
from research.bundled.prompt_samples import AnnotatedImage, list_images, pick_object, split_labels
from research.bundled.prompt_settings import PromptSource, load_prompt_training
from research.program import run_program

Segmenter = Callable[[np.ndarray, Mapping[int, Prompt]], np.ndarray]
"""from a frame H×W×3 uint8 and prompts by object id to object ids H×W"""
CLICK_COUNTS = (1, 2, 3, 5)
TARGET_IOUS = (0.85, 0.9)
"""values of J for the number of clicks (NoC)"""
SIZE_CLASSES = {"below 2 %": (0.0, 0.02), "2 to 10 %": (0.02, 0.1), "above 10 %": (0.1, 1.01)}
"""classes of object sizes as shares of the frame"""
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class Case:
    """One object of one frame."""

    name: str
    frame: np.ndarray = field(repr=False)
    """H×W×3 uint8"""
    truth: np.ndarray = field(repr=False)
    """H×W uint8, 1 on the object, 0 beside it, 255 where pixels do not count"""

    @property
    def share(self) -> float:
        """Share of the frame that the object covers."""
        return float((self.truth == 1).mean())


@dataclass(frozen=True)
class Result:
    """J of one object, 0 to 1."""

    name: str
    share: float
    box: float
    clicks: list[float]
    """after each click; the last value is also that of all later ones"""
    seconds: list[float]
    """duration of each call"""

    def iou_after(self, count: int) -> float:
        """Return J after ``count`` clicks."""
        return self.clicks[min(count, len(self.clicks)) - 1]

    def count_clicks(self, target: float, limit: int) -> int:
        """Return the number of clicks to reach ``target``, at most ``limit``."""
        reached = [number for number, score in enumerate(self.clicks, start=1) if score >= target]
        return min(reached[0], limit) if reached else limit


def read_cases(root: Path, names: Sequence[str] = (), *, every_frame: bool = False) -> Iterator[Case]:
    """Yield the objects of a folder with ``JPEGImages`` and ``Annotations``, in order.

    Args:
        root: both folders hold the same sub-folders.
        names: last folders to read; empty: all.
        every_frame: read all annotated frames, not only the first of each folder.

    Raises:
        InputError: no such folder, or an image is missing.
    """
    annotations = require_folder(root / "Annotations", "a data set in the layout of DAVIS")
    folders = sorted({path.parent for path in annotations.rglob("*.png")})
    for folder in folders:
        if names and folder.name not in names:
            continue
        paths = sorted(folder.glob("*.png"))
        for path in paths if every_frame else paths[:1]:
            frame, labels = read_image(_find_image(root, path)), read_mask(path)
            ids = sorted(set(np.unique(labels).tolist()) - {0})
            for number in ids if ids == [VOID] else [object_id for object_id in ids if object_id != VOID]:
                truth = (labels == number).astype(np.uint8)
                if number != VOID:  # black and white masks have no pixels to ignore
                    truth[labels == VOID] = VOID
                name = path.relative_to(annotations).with_suffix("").as_posix()
                yield Case(f"{name}/{number}", frame, truth)


def read_held_out_cases(root: Path, sources: Sequence[PromptSource], limit: int) -> Iterator[Case]:
    """Yield objects that the training of prompts does not see, evenly chosen: one of an image, of videos the first.

    Args:
        root: folder of the training sets.
        sources: of the recipe.
        limit: largest number of objects.
    """
    found: dict[Path, AnnotatedImage] = {}
    for image in list_images(root, sources, held_out=True):
        found.setdefault(image.mask.parent if image.video else image.mask, image)
    images, count = list(found.values()), min(limit, len(found))
    for image in (images[index * len(images) // count] for index in range(count)):
        rng = np.random.default_rng(zlib.crc32(image.mask.stem.encode()))
        labels = read_mask(image.mask)
        if image.parts > 0.5:  # the parts of one person count as one object
            labels[(labels > 0) & (labels != VOID)] = 1
        picked = pick_object(labels, rng, together=0)
        if picked is not None:
            truth, _ = split_labels(*picked)
            yield Case(f"{image.group}/{image.mask.stem}", read_image(image.image), truth)


def _find_image(root: Path, annotation: Path) -> Path:
    stem = root / "JPEGImages" / annotation.relative_to(root / "Annotations")
    path = next((path for path in map(stem.with_suffix, IMAGE_SUFFIXES) if path.is_file()), None)
    if path is None:
        raise InputError(f"{stem.with_suffix('.jpg')}: no such image; every annotation needs one")
    return path


def evaluate_case(segmenter: Segmenter, case: Case, *, limit: int, other: Case | None = None) -> Result:
    """Segment an object from a box, and from clicks until ``limit`` or the highest target is reached.

    ``other``: another object whose prompts are given in place of the right ones, a negative control.
    """
    seconds: list[float] = []

    def segment_prompt(prompt: Prompt) -> np.ndarray:
        start = time.perf_counter()
        labels = segmenter(case.frame, {1: prompt})
        seconds.append(time.perf_counter() - start)
        return labels == 1

    source = case.truth if other is None else _resize_nearest(other.truth, case.truth.shape)
    box = jaccard(segment_prompt(Prompt(box=find_box(source == 1))), case.truth)
    points: list[Point] = []
    labels: list[int] = []
    scores: list[float] = []
    answer = np.zeros(source.shape, bool)
    while len(scores) < limit and (len(scores) < max(CLICK_COUNTS) or max(scores) < max(TARGET_IOUS)):
        click = next_click(answer, source)
        if click is None:
            break
        point, label = click
        points.append(point)
        labels.append(label)
        answer = segment_prompt(Prompt(points, labels, mask=answer if scores else None))
        scores.append(jaccard(answer, case.truth))
    return Result(case.name, case.share, box, scores, seconds)


def _resize_nearest(truth: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Resize a truth to another frame's size, by the nearest pixel."""
    rows = np.arange(size[0]) * truth.shape[0] // size[0]
    columns = np.arange(size[1]) * truth.shape[1] // size[1]
    return np.asarray(truth[rows][:, columns])


@dataclass(frozen=True)
class Row:
    """Means over a class of objects."""

    size: str
    objects: int
    box: float
    clicks: dict[int, float]
    """J by number of clicks"""
    needed: dict[float, float]
    """number of clicks by target J"""
    seconds: float
    """median of a call"""


def average_results(results: Sequence[Result], limit: int) -> list[Row]:
    """Average results over all objects and by size; classes without objects are left out."""
    rows = []
    for name, (low, high) in {"all": (0.0, 1.01), **SIZE_CLASSES}.items():
        chosen = [result for result in results if low <= result.share < high]
        if chosen:
            row = Row(
                name,
                len(chosen),
                mean(result.box for result in chosen),
                {count: mean(result.iou_after(count) for result in chosen) for count in CLICK_COUNTS},
                {
                    target: mean(result.count_clicks(target, limit) for result in chosen)
                    for target in TARGET_IOUS
                },
                median(second for result in chosen for second in result.seconds),
            )
            rows.append(row)
    return rows


def format_table(rows_by_method: dict[str, list[Row]]) -> str:
    """Format rows of several methods as a Markdown table; J in percent."""
    titles = ["method", "objects", "n", "box", *(f"{count} clicks" for count in CLICK_COUNTS)]
    titles += [*(f"NoC {target:.0%}" for target in TARGET_IOUS), "ms"]
    lines = [f"| {' | '.join(titles)} |".replace("1 clicks", "1 click"), "|" + "---|" * len(titles)]
    for method, rows in rows_by_method.items():
        for row in rows:
            cells = [method, row.size, str(row.objects), f"{100 * row.box:.1f}"]
            cells += [f"{100 * row.clicks[count]:.1f}" for count in CLICK_COUNTS]
            cells += [f"{row.needed[target]:.1f}" for target in TARGET_IOUS]
            lines.append(f"| {' | '.join([*cells, f'{1000 * row.seconds:.0f}'])} |")
    return "\n".join(lines)


def segment_ellipse(frame: np.ndarray, prompts: Mapping[int, Prompt]) -> np.ndarray:
    """Label the ellipse inside each box; without a box, a circle of a tenth of the frame's shorter side."""
    height, width = frame.shape[:2]
    rows, columns = np.mgrid[:height, :width]
    labels = np.zeros((height, width), np.uint16)
    for number, prompt in prompts.items():
        radius = 0.1 * min(height, width)
        circles = [(x - radius, y - radius, 2 * radius, 2 * radius) for x, y in prompt.positive]
        boxes = [prompt.box] if prompt.box else circles
        for x, y, across, down in boxes:
            inside = ((columns + 0.5 - x) / across * 2 - 1) ** 2 + ((rows + 0.5 - y) / down * 2 - 1) ** 2 <= 1
            labels[inside] = number
    return labels


def segment_grabcut(frame: np.ndarray, prompts: Mapping[int, Prompt]) -> np.ndarray:
    """Label what OpenCV's GrabCut finds in 3 rounds: in a box, or from discs on clicks and the last answer."""
    import cv2

    labels = np.zeros(frame.shape[:2], np.uint16)
    for number, prompt in prompts.items():
        guess: Any = np.full(labels.shape, cv2.GC_BGD if prompt.box else cv2.GC_PR_BGD, np.uint8)
        if prompt.box:
            left, top, across, down = (round(value) for value in prompt.box)
            guess[max(0, top) : top + down, max(0, left) : left + across] = cv2.GC_PR_FGD
        if prompt.mask is not None:
            guess[prompt.mask > 0.5] = cv2.GC_PR_FGD
        radius = max(2, round(min(labels.shape) / 40))
        for points, value in ((prompt.positive, cv2.GC_FGD), (prompt.negative, cv2.GC_BGD)):
            for x, y in points:
                cv2.circle(guess, (round(x), round(y)), radius, int(value), -1)
        if (guess & 1).any() and not (guess & 1).all():
            cv2.setRNGSeed(0)
            whole: Any = None
            cv2.grabCut(frame, guess, whole, np.zeros((1, 65)), np.zeros((1, 65)), 3, cv2.GC_INIT_WITH_MASK)
        labels[(guess & 1) == 1] = number
    return labels


BASELINES = {"GrabCut": segment_grabcut, "ellipse": segment_ellipse}
"""methods to compare with, by name"""


def parse(argv: list[str] | None) -> Namespace:
    """Read the command line."""
    parser = ArgumentParser(description="Measure masks from a box and from simulated clicks.")
    parser.add_argument("data", type=Path, help="folder with JPEGImages and Annotations, or of training sets")
    parser.add_argument("--list", type=Path, help="names of folders to read, one a line (default: all)")
    parser.add_argument(
        "--every-frame", action="store_true", help="all annotated frames, not only the first ones"
    )
    parser.add_argument(
        "--held-out", type=int, metavar="N", help="N objects that recipes/prompts.yaml holds out"
    )
    parser.add_argument("--clicks", type=int, default=20, help="most clicks per object (default: 20)")
    parser.add_argument(
        "--checkpoint", type=Path, default=BUNDLED_CHECKPOINT, help="model with a prompt network"
    )
    parser.add_argument("--segmenter", type=Path, nargs=2, metavar=("ENCODER", "DECODER"), help="ONNX files")
    parser.add_argument("--baselines", action="store_true", help="also measure GrabCut and an ellipse")
    parser.add_argument("--shuffle", action="store_true", help="give each object another's prompts (control)")
    parser.add_argument("--output", type=Path, help="JSON file with the results of every object")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Measure every method on every object and print one table."""
    args = parse(argv)
    if args.held_out:
        cases = list(read_held_out_cases(args.data, load_prompt_training().sources, args.held_out))
    else:
        names = args.list.read_text().split() if args.list else []
        cases = list(read_cases(args.data, names, every_frame=args.every_frame))
    if len(cases) < 1 + args.shuffle:
        raise InputError(f"{args.data}: {len(cases)} annotated objects; nothing to measure")
    methods: dict[str, Segmenter] = dict(BASELINES) if args.baselines else {}
    if args.segmenter:
        methods["ONNX"] = OnnxSegmenter(*args.segmenter)
    else:
        model, config = load_checkpoint(args.checkpoint)
        methods["model"] = NetworkSegmenter(optimize(model, precision=config.compute.precision))
    others = [*cases[1:], cases[0]] if args.shuffle else [None] * len(cases)
    results: dict[str, list[Result]] = {name: [] for name in methods}
    with progress_bar(len(methods) * len(cases), unit="object") as bar:
        for name, segmenter in methods.items():
            for case, other in zip(cases, others, strict=True):
                results[name].append(evaluate_case(segmenter, case, limit=args.clicks, other=other))
                bar.update()
    print(format_table({name: average_results(measured, args.clicks) for name, measured in results.items()}))
    if args.output is not None:
        content = {name: [asdict(result) for result in measured] for name, measured in results.items()}
        args.output.write_text(json.dumps(content, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    run_program(main)
