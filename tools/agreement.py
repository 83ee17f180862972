"""Agreement of two annotations of a video: ``aotlab agreement first.json second.xml --video video.mp4``."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import click

from aotlab.tools.cli.command import command, require_new_output
from aotlab.tools.cli.options import force_file
from aotlab.tools.cli.types import ExistingPath, File, option
from aotlab.utils.errors import require
from aotlab.utils.files import atomic_path
from aotlab.utils.text import align_columns, format_count

if TYPE_CHECKING:
    from aotlab.evaluation.agreement import Pair

MAX_LISTED = 10
"""Largest number of printed frames."""


def format_pair(pair: Pair) -> str:
    """Return the id of a pair, or both as ``FIRST=SECOND`` if they differ."""
    first, second = (str(object_id or "none") for object_id in pair)
    return first if first == second else f"{first}={second}"


def format_agreement(scores: Mapping[tuple[int, Pair], float], class_names: Mapping[Pair, str]) -> list[str]:
    """Return printed lines of J by frame and pair of objects: a row per object, then the largest differences."""
    rows = [["object", "frames", "J mean", "J lowest", "on frame", "name"]]
    for pair in sorted({pair for _, pair in scores}):
        by_frame = {frame: score for (frame, scored_pair), score in scores.items() if scored_pair == pair}
        lowest = min(by_frame, key=by_frame.__getitem__)
        mean = f"{fmean(by_frame.values()):.3f}"
        name = class_names.get(pair, "")
        rows.append([format_pair(pair), str(len(by_frame)), mean, f"{by_frame[lowest]:.3f}", str(lowest), name])
    count = len({frame for frame, _ in scores})
    rows.append(["all", str(count), f"{fmean(scores.values()):.3f}", "", "", ""])
    lines = align_columns(rows, right=0)
    worst = sorted((score, frame, pair) for (frame, pair), score in scores.items() if score < 1)[:MAX_LISTED]
    if worst:
        lines.append("largest differences:")
    for score, frame, pair in worst:
        lines.append(f"  frame {frame}: object {format_pair(pair)}, J {score:.3f}")
    return lines


@command("aotlab agreement")
@click.argument("first", metavar="FIRST", type=ExistingPath, help="masks, as for track --mask")
@click.argument("second", metavar="SECOND", type=ExistingPath, help="masks, as for track --mask")
@option("--video", type=ExistingPath, required=True, help="the video, or its folder of frames")
@option("--csv", "table", type=File, help="CSV file to write with J of every object and frame")
@force_file
def main(first: Path, second: Path, *, video: Path, table: Path | None, force: bool) -> int:
    from aotlab.evaluation.agreement import measure_agreement
    from aotlab.media.annotations import read_annotations
    from aotlab.media.regions import VideoInfo
    from aotlab.media.video import open_frames

    require_new_output(table, ".csv", force=force)
    source = open_frames(video)
    info = VideoInfo.from_source(source)
    first_masks, second_masks = read_annotations(first, info), read_annotations(second, info)
    scores = {(frame, pair): score for frame, pair, score in measure_agreement(first_masks, second_masks)}
    subject = f"{first}, {second}"
    require(scores, "no object on a frame that both annotate", subject=subject, remedy="compare others")
    if table is not None:
        rows = [[frame, format_pair(pair), f"{score:.4f}"] for (frame, pair), score in scores.items()]
        with atomic_path(table) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([["frame", "object", "J"], *rows])
    first_names, second_names = first_masks.class_names, second_masks.class_names
    names = {pair: second_names.get(pair[1], first_names.get(pair[0], "")) for _, pair in scores}
    print("\n".join(format_agreement(scores, names)))
    only_first = len(first_masks.frames.keys() - second_masks.frames.keys())
    only_second = len(second_masks.frames.keys() - first_masks.frames.keys())
    if only_first or only_second:
        frames = format_count(only_first, "frame")
        print(f"not compared: {frames} only in {first}, {only_second} only in {second}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
