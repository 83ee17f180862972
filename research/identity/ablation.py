"""Rules that keep identities apart, each measured on composed clips and real videos.

``python -m research.identity.ablation DATA TABLE.csv [--rules base ownership]`` adds missing rows to the table, and
prints it by rule and group. DATA holds ``static``, ``davis16`` and ``pairs``.
"""

from __future__ import annotations

import csv
import time
from argparse import ArgumentParser, Namespace
from collections import defaultdict
from pathlib import Path

import numpy as np

from aotlab.dataloaders.training.clips import Clip
from aotlab.engine.tracking.tracker import Tracker
from aotlab.evaluation.davis import score_labels
from aotlab.evaluation.tables import make_scores_table
from aotlab.media.masks import VOID
from aotlab.utils.progress import progress_bar
from research.identity.clips import REAL, list_clips
from research.program import run_program

NATIVE = ("input.min_short_edge=null", "input.min_object=null", "rules.ownership=false", "rules.cuts=false")
"""all frames in their own size, so that the table is affordable on a CPU, and no rule"""
RULES: dict[str, tuple[str, ...]] = {
    "base": (),
    "ownership": ("rules.ownership=true",),
    "cuts": ("rules.cuts=true",),
    "ownership_and_cuts": ("rules.ownership=true", "rules.cuts=true"),
}
COLUMNS = (
    "rule",
    "group",
    "clip",
    "J",
    "F",
    "exchanged",
    "pixels",
    "lost",
    "found",
    "milliseconds",
    "frames",
)
VISIBLE = 100
"""number of pixels from which an object counts as visible"""
LOST_IOU, FOUND_IOU, LOST_FRAMES = 0.1, 0.3, 3
"""a visible object is lost after three frames below the first IoU, and found again from the second on"""
RESAMPLES = 5000


def parse(argv: list[str] | None) -> Namespace:
    """Read the command line."""
    parser = ArgumentParser(description="Measure rules that keep identities apart.")
    parser.add_argument("data", type=Path, metavar="DATA", help="folder of static, davis16 and pairs")
    parser.add_argument("table", type=Path, metavar="TABLE", help="CSV file, which is resumed")
    parser.add_argument("--rules", nargs="+", choices=RULES, default=list(RULES), help="rules to measure")
    parser.add_argument("--groups", nargs="+", help="groups of clips (default: all)")
    parser.add_argument(
        "--series", type=int, choices=range(len(REAL)), default=0, help="0: of development; 1, 2: fresh"
    )
    parser.add_argument("--clips", type=int, metavar="N", help="largest number of composed clips of a group")
    return parser.parse_args(argv)


def track(tracker: Tracker, clip: Clip) -> tuple[list[np.ndarray], float]:
    """Return the labels of each frame, and the median milliseconds of CPU time a frame after the first two."""
    tracker.reset(len(clip.frames))
    labels, seconds = [], []
    for index, frame in enumerate(clip.frames):
        given = np.where(clip.labels[0] < VOID, clip.labels[0], 0) if index == 0 else None
        start = time.process_time()
        labels.append(tracker.step(np.ascontiguousarray(frame), given).labels)
        seconds.append(time.process_time() - start)
    return labels, 1000 * float(np.median(seconds[2:]))


def measure(clip: Clip, labels: list[np.ndarray]) -> dict[str, float]:
    """Return J and F in percent, counts of exchanged and of all object pixels, and of objects lost and found again."""
    table = make_scores_table({"clip": score_labels(list(clip.labels), labels)})
    exchanged = pixels = lost = found = 0
    below = np.zeros(clip.objects + 1, int)
    for truth, own in zip(clip.labels[1:], labels[1:], strict=True):
        objects = (truth > 0) & (truth < VOID)
        pixels += int(objects.sum())
        exchanged += int((objects & (own > 0) & (own != truth)).sum())
        for number in range(1, clip.objects + 1):
            one, other = truth == number, own == number
            if one.sum() < VISIBLE:
                continue
            iou = (one & other).sum() / (one | other).sum()
            found += bool(below[number] >= LOST_FRAMES and iou >= FOUND_IOU)
            if iou < LOST_IOU:
                below[number] += 1
            elif iou >= FOUND_IOU:
                below[number] = 0
            lost += bool(iou < LOST_IOU and below[number] == LOST_FRAMES)
    counts = {"exchanged": exchanged, "pixels": pixels, "lost": lost, "found": found}
    return {"J": table["J"], "F": table["F"], **counts}


def read_table(path: Path) -> list[dict[str, str]]:
    """Return the rows measured so far."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def extend_table(args: Namespace) -> None:
    """Measure what is missing; rules run one after another on each clip."""
    done = {(row["rule"], row["group"], row["clip"]) for row in read_table(args.table)}
    wanted = [
        (group, name, make)
        for group, name, make in list_clips(args.data, args.series)
        if (not args.groups or group in args.groups)
        and not (args.clips and name.isdigit() and int(name) >= args.clips)
    ]
    trackers: dict[str, Tracker] = {}
    with args.table.open("a", newline="") as file, progress_bar(len(wanted), unit="clip") as bar:
        writer = csv.DictWriter(file, COLUMNS)
        if not done:
            writer.writeheader()
        for group, name, make in wanted:
            missing = [rule for rule in args.rules if (rule, group, name) not in done]
            clip = make() if missing else None
            for rule in missing:
                assert clip is not None
                if rule not in trackers:
                    trackers[rule] = Tracker.from_pretrained(overrides=(*NATIVE, *RULES[rule]))
                labels, milliseconds = track(trackers[rule], clip)
                row = {"rule": rule, "group": group, "clip": name, **measure(clip, labels)}
                writer.writerow({**row, "milliseconds": milliseconds, "frames": len(labels)})
                file.flush()
            bar.update()


def print_table(rows: list[dict[str, str]], rules: list[str]) -> None:
    """Print each rule by group, beside the same clips without rules."""
    by_rule: dict[str, dict[tuple[str, str], dict[str, str]]] = defaultdict(dict)
    for row in rows:
        by_rule[row["rule"]][row["group"], row["clip"]] = row
    print("rule | group | clips | J | gain in J (90 %) | F | exchanged | lost, found | ms a frame, ratio")
    for rule in rules:
        groups = list(dict.fromkeys(group for group, _ in by_rule[rule]))
        for group in (*groups, "all"):
            keys = [key for key in by_rule[rule] if group in (key[0], "all") and key in by_rule["base"]]
            print(
                format_row(
                    rule, group, [by_rule[rule][key] for key in keys], [by_rule["base"][key] for key in keys]
                )
            )


def format_row(rule: str, group: str, own: list[dict[str, str]], base: list[dict[str, str]]) -> str:
    """Return one line of the table: a rule and the same clips without rules."""
    values = {name: np.array([float(row[name]) for row in own]) for name in COLUMNS[3:]}
    before = {name: np.array([float(row[name]) for row in base]) for name in ("J", "milliseconds")}
    gains = values["J"] - before["J"]
    drawn = np.random.default_rng(0).integers(len(gains), size=(RESAMPLES, len(gains)))
    low, high = np.percentile(gains[drawn].mean(1), (5, 95))
    ratio = values["milliseconds"].sum() / before["milliseconds"].sum()
    return (
        f"{rule} | {group} | {len(own)} | {values['J'].mean():.1f} | {gains.mean():+.2f} ({low:+.2f} to {high:+.2f}) | "
        f"{values['F'].mean():.1f} | {100 * values['exchanged'].sum() / values['pixels'].sum():.1f} % | "
        f"{values['lost'].sum():.0f}, {values['found'].sum():.0f} | {values['milliseconds'].mean():.0f}, {ratio:.2f}"
    )


def main(argv: list[str] | None = None) -> int:
    """Extend the table and print it."""
    args = parse(argv)
    extend_table(args)
    print_table(read_table(args.table), args.rules)
    return 0


if __name__ == "__main__":
    run_program(main)
