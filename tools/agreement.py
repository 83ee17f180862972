"""Agreement of two annotations of a video, or of those of a list.

aotlab agreement first.json second.xml --video video.mp4
aotlab agreement ann bob --jobs videos.csv
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import click
from click import UsageError

from aotlab.tools.cli.command import command, report_failures, require_new_output
from aotlab.tools.cli.options import force_file, mask_start_number
from aotlab.tools.cli.types import ExistingPath, File, option
from aotlab.utils.errors import InputError, describe_missing_module, require
from aotlab.utils.files import atomic_path
from aotlab.utils.text import align_columns, format_count

if TYPE_CHECKING:
    from aotlab.evaluation.agreement import Agreement, Pair

MAX_LISTED = 10
"""Largest number of printed frames, and of printed objects whose classes differ."""


def format_pair(pair: Pair) -> str:
    """Return the id of a pair, or both as ``FIRST=SECOND`` if they differ."""
    first, second = (str(object_id or "none") for object_id in pair)
    return first if first == second else f"{first}={second}"


def format_row(title: str, scores: Mapping[tuple[int, Pair], float], class_names: Sequence[str] = ()) -> list[str]:
    """Return the cells of an object or a video, with class names that differ as ``FIRST | SECOND``."""
    lowest = min(scores, key=scores.__getitem__)
    frames = str(len({frame for frame, _ in scores}))
    class_name = " | ".join(filter(None, dict.fromkeys(class_names)))
    return [title, frames, f"{fmean(scores.values()):.3f}", f"{scores[lowest]:.3f}", str(lowest[0]), class_name]


def format_agreement(agreements: Sequence[Agreement], *, is_list: bool) -> list[str]:
    """Return printed lines: a row per video of a list, or else per object; then the largest differences."""
    if is_list:
        rows = [format_row(item.video, item.scores) for item in agreements]
    else:
        (item,) = agreements
        rows = [
            format_row(format_pair(pair), {key: score for key, score in item.scores.items() if key[1] == pair}, names)
            for pair, names in item.names.items()
        ]
    scores = {(item.video, *key): score for item in agreements for key, score in item.scores.items()}
    count = len({key[:2] for key in scores})
    lines = align_columns(
        [
            ["video" if is_list else "object", "frames", "J mean", "J lowest", "on frame", "" if is_list else "class"],
            *rows,
            ["all", str(count), f"{fmean(scores.values()):.3f}", "", "", ""],
        ],
        right=0,
    )
    worst = sorted((score, *key) for key, score in scores.items() if score < 1)[:MAX_LISTED]
    if worst:
        lines.append("largest differences:")
    for score, video, frame, pair in worst:
        lines.append(f"  {f'{video}, ' if is_list else ''}frame {frame}: object {format_pair(pair)}, J {score:.3f}")
    return [*lines, *format_classes(agreements, is_list=is_list)]


def format_classes(agreements: Sequence[Agreement], *, is_list: bool) -> list[str]:
    """Return printed lines about classes that differ, with Cohen's kappa over all objects."""
    from aotlab.evaluation.agreement import measure_kappa

    classes = [names for item in agreements for names in item.classes.values()]
    different = [
        f"  {f'{item.video}, ' if is_list else ''}object {format_pair(pair)}: {first} | {second}"
        for item in agreements
        for pair, (first, second) in item.classes.items()
        if first != second
    ]
    if not classes:
        return []
    if find_spec("sklearn") is None:
        kappa = f"Cohen's kappa: {describe_missing_module('sklearn')}"
    else:
        value = measure_kappa(classes)
        kappa = "Cohen's kappa undefined, as all are one class" if math.isnan(value) else f"Cohen's kappa {value:.3f}"
    lines = [f"classes differ: {len(different)} of {format_count(len(classes), 'object')}; {kappa}"]
    more = [f"  and {len(different) - MAX_LISTED} others"] if len(different) > MAX_LISTED else []
    return [*lines, *different[:MAX_LISTED], *more]


def find_annotation(path: Path, name: str) -> Path:
    """Return the annotation of a video in a folder: ``NAME``, or the only ``NAME.*``."""
    if (path / name).exists():
        return path / name
    found = sorted(file for file in path.glob("*") if file.stem == name)
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "no annotation"
        raise InputError(f"{names} of video {name}", subject=path, remedy=f"expected {name}, or one file {name}.*")
    return found[0]


def compare(first: Path, second: Path, video: str, name: str = "", start_number: int | None = None) -> Agreement:
    """Compare two annotations of a video.

    Args:
        first: masks.
        second: other masks.
        video: file or folder.
        name: name of the video (default: its own).
        start_number: as in `VideoInfo`.
    """
    from aotlab.evaluation.agreement import compare_annotations
    from aotlab.media.annotations import read_annotations
    from aotlab.media.regions import VideoInfo
    from aotlab.media.video import open_frames

    info = replace(VideoInfo.from_source(open_frames(video)), start_number=start_number)
    masks = [read_annotations(path, info, strict=True) for path in (first, second)]
    agreement = compare_annotations(name or info.name, *masks)
    subject = f"{first}, {second}"
    require(agreement.scores, "no object on a frame that both annotate", subject=subject, remedy="compare others")
    return agreement


@command("aotlab agreement")
@click.argument("first", metavar="FIRST", type=ExistingPath, help="masks, as for track --mask; for a list, a folder")
@click.argument("second", metavar="SECOND", type=ExistingPath, help="masks, as for track --mask; for a list, a folder")
@option("--video", type=ExistingPath, help="the video, or its folder of frames")
@option("--jobs", type=ExistingPath, help="list or folder of videos, whose annotations FIRST and SECOND hold by name")
@mask_start_number
@option("--csv", "table", type=File, help="CSV file to write with J of every object and frame")
@force_file
def main(
    first: Path,
    second: Path,
    *,
    video: Path | None,
    jobs: Path | None,
    mask_start_number: int | None,
    table: Path | None,
    force: bool,
) -> int:
    if (video is None) == (jobs is None):
        raise UsageError("--video, --jobs: give one of them")
    from aotlab.jobs.job_list import read_jobs

    require_new_output(table, ".csv", force=force)
    agreements, failures = list["Agreement"](), dict[str, str]()
    if video is not None:
        agreements.append(compare(first, second, str(video), start_number=mask_start_number))
    for job in read_jobs(jobs) if jobs is not None else ():
        try:
            files = [find_annotation(path, job.name) for path in (first, second)]
            agreements.append(compare(files[0], files[1], job.video, job.name, mask_start_number))
        except InputError as error:
            failures[job.name] = str(error)
    if agreements and table is not None:
        write_table(table, agreements)
    if agreements:
        print("\n".join(format_agreement(agreements, is_list=jobs is not None)))
    only_first, only_second = sum(item.only_first for item in agreements), sum(item.only_second for item in agreements)
    if only_first or only_second:
        frames = format_count(only_first, "frame")
        print(f"not compared: {frames} only in {first}, {only_second} only in {second}")
    return report_failures(failures)


def write_table(path: Path, agreements: Sequence[Agreement]) -> None:
    """Write J and the class names of every object and frame as CSV."""
    rows = [
        [item.video, frame, format_pair(pair), f"{score:.4f}", *item.names[pair]]
        for item in agreements
        for (frame, pair), score in item.scores.items()
    ]
    header = ["video", "frame", "object", "J", "first_class", "second_class"]
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


if __name__ == "__main__":
    raise SystemExit(main())
