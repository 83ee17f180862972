"""Recall and precision of the studio's list of frames to check, against true masks.

``python -m research.identity.review DATA SCORES.jsonl [--series 1]`` tracks the missing clips, one line each, and
prints a table. DATA holds ``static``, ``davis16`` and ``pairs``.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from aotlab.dataloaders.training.clips import Clip
from aotlab.engine.tracking.tracker import Tracker
from aotlab.media.masks import VOID
from aotlab.utils.progress import progress_bar
from aotlab_studio.document.scores import Score, measure_scores
from aotlab_studio.document.signals import ReviewSignals
from aotlab_studio.review.checks import find_checks
from research.identity.ablation import VISIBLE
from research.identity.clips import REAL, list_clips
from research.program import run_program

NATIVE = ("input.min_short_edge=null", "input.min_object=null")
"""all frames in their own size, so that the table is affordable on a CPU"""
WRONG_J = 0.7
"""J below which a mask counts as wrong"""
NEAR = 5
"""frames from a check up to which a wrong mask counts as named, as a correction also helps its neighbors"""


def parse(argv: list[str] | None) -> Namespace:
    """Read the command line."""
    parser = ArgumentParser(description="Measure the list of frames to check.")
    parser.add_argument("data", type=Path, metavar="DATA", help="folder of static, davis16 and pairs")
    parser.add_argument("scores", type=Path, metavar="SCORES", help="JSON lines, which are resumed")
    parser.add_argument(
        "--series", type=int, choices=range(len(REAL)), default=0, help="0: of development; 1, 2: fresh"
    )
    parser.add_argument("--clips", type=int, metavar="N", help="largest number of composed clips of a group")
    return parser.parse_args(argv)


def track(tracker: Tracker, clip: Clip) -> Iterator[tuple[np.ndarray, dict[int, Score]]]:
    """Yield labels and scores of each frame."""
    tracker.reset(len(clip.frames))
    signals = ReviewSignals()
    for index, frame in enumerate(clip.frames):
        frame = np.ascontiguousarray(frame)
        given = np.where(clip.labels[0] < VOID, clip.labels[0], 0) if index == 0 else None
        prediction = tracker.step(frame, given)
        ids, labels = prediction.ids, prediction.labels
        found = signals.update(index, labels, frame, ids)
        yield labels, measure_scores(labels, ids, prediction.confidence, {}, found)


def measure(tracker: Tracker, clip: Clip) -> list[tuple[dict[int, Score], dict[int, float]]]:
    """Return scores and J by object of each frame; J of objects of at least `VISIBLE` pixels."""
    frames = []
    for truth, (labels, scores) in zip(clip.labels, track(tracker, clip), strict=True):
        own = {number: (truth == number, (labels == number) & (truth != VOID)) for number in scores}
        jaccard = {
            number: float((one & other).sum() / (one | other).sum())
            for number, (one, other) in own.items()
            if one.sum() >= VISIBLE
        }
        frames.append((scores, jaccard))
    return frames


def extend_scores(args: Namespace) -> None:
    """Track the clips whose scores are missing."""
    done = {(line["group"], line["clip"]) for line in read_scores(args.scores)}
    wanted = [
        (group, name, make)
        for group, name, make in list_clips(args.data, args.series)
        if (group, name) not in done and not (args.clips and name.isdigit() and int(name) >= args.clips)
    ]
    tracker = Tracker.from_pretrained(overrides=NATIVE)
    with args.scores.open("ab") as file, progress_bar(len(wanted), unit="clip") as bar:
        for group, name, make in wanted:
            line = {"group": group, "clip": name, "frames": measure(tracker, make())}
            file.write(msgspec.json.encode(line) + b"\n")
            file.flush()
            bar.update()


def read_scores(path: Path) -> list[dict[str, Any]]:
    """Return the clips measured so far."""
    if not path.exists():
        return []
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


def count(frames: Sequence[tuple[dict[str, Any], dict[str, float]]]) -> np.ndarray:
    """Return the number of wrong masks, of those that are named, of checks, and of checks of right masks.

    The first frame is given. A wrong mask is named by a check of its object at most `NEAR` frames away; a check is of
    right masks if none of its object is wrong as near.
    """
    scores = {
        index: {int(number): msgspec.convert(score, Score) for number, score in by_object.items()}
        for index, (by_object, _) in enumerate(frames)
    }
    checks = [(check.object_id, check.frame) for check in find_checks(scores, {0: frozenset(scores[0])})]
    wrong = [
        (int(number), index)
        for index, (_, jaccard) in enumerate(frames)
        for number, value in jaccard.items()
        if index and value < WRONG_J
    ]

    def count_near(places: list[tuple[int, int]], others: list[tuple[int, int]]) -> int:
        return sum(
            any(number == other and abs(index - at) <= NEAR for other, at in others)
            for number, index in places
        )

    return np.array(
        [len(wrong), count_near(wrong, checks), len(checks), len(checks) - count_near(checks, wrong)]
    )


def print_table(lines: Sequence[dict[str, Any]]) -> None:
    """Print the counts by group."""
    print("group | clips | wrong masks | named | checks | of right masks")
    groups = dict.fromkeys(line["group"] for line in lines)
    for group in (*groups, "all"):
        counts = [count(line["frames"]) for line in lines if group in (line["group"], "all")]
        wrong, named, checks, right = np.sum(counts, axis=0)
        print(
            f"{group} | {len(counts)} | {wrong} | {100 * named / max(1, wrong):.0f} % | {checks} | "
            f"{100 * right / max(1, checks):.0f} %"
        )


def main(argv: list[str] | None = None) -> int:
    """Extend the scores and print the table."""
    args = parse(argv)
    extend_scores(args)
    print_table(read_scores(args.scores))
    return 0


if __name__ == "__main__":
    run_program(main)
