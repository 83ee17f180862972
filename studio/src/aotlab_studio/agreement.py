"""Agreement of two annotations of a video: ``aotlab agreement first.json second.xml --video video.mp4``."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import fmean

import click

from aotlab import InputError, open_frames
from aotlab.sdk import (
    Annotations,
    VideoInfo,
    align_columns,
    atomic_path,
    command,
    read_annotations,
    region_similarity,
    require_new_output,
)

MAX_LISTED = 10
"""largest number of printed frames"""


def measure_agreement(first: Annotations, second: Annotations) -> Iterator[tuple[int, int, float]]:
    """Yield frame, object id and J of each object that either annotation shows, on the frames that both annotate."""
    for frame in sorted(first.frames.keys() & second.frames.keys()):
        one, other = first.mask(frame), second.mask(frame)
        for object_id in sorted({*one[one > 0].tolist(), *other[other > 0].tolist()}):
            yield frame, int(object_id), region_similarity(one == object_id, other == object_id)


def format_agreement(scores: Mapping[tuple[int, int], float], class_names: Mapping[int, str]) -> list[str]:
    """Return printed lines: a row per object, then the frames that differ most.

    Args:
        scores: J by frame and object id.
    """
    rows = [["object", "frames", "J mean", "J lowest", "on frame", "name"]]
    for object_id in sorted({object_id for _, object_id in scores}):
        by_frame = {frame: score for (frame, each), score in scores.items() if each == object_id}
        lowest = min(by_frame, key=by_frame.__getitem__)
        values = [f"{fmean(by_frame.values()):.3f}", f"{by_frame[lowest]:.3f}"]
        name = class_names.get(object_id, "")
        rows.append([str(object_id), str(len(by_frame)), *values, str(lowest), name])
    rows.append(
        ["all", str(len({frame for frame, _ in scores})), f"{fmean(scores.values()):.3f}", "", "", ""]
    )
    worst = sorted((score, frame, object_id) for (frame, object_id), score in scores.items() if score < 1)
    listed = [f"  frame {frame}: object {each}, J {score:.3f}" for score, frame, each in worst[:MAX_LISTED]]
    table = ["  ".join(row) for row in align_columns(rows, right=0)]
    return [*table, *(["differ most:", *listed] if listed else [])]


@command("aotlab agreement", "Compare two annotations of a video: J by object and frame.")
@click.argument("first", metavar="FIRST", type=Path, help="file or folder of masks, as for track --mask")
@click.argument("second", metavar="SECOND", type=Path, help="file or folder of masks, as for track --mask")
@click.option("--video", metavar="VIDEO", type=Path, required=True, help="the video, or its folder of frames")
@click.option("--csv", "table", metavar="FILE", type=Path, help="write J of every object and frame to FILE")
@click.option("--force", is_flag=True, help="replace FILE")
def main(first: Path, second: Path, *, video: Path, table: Path | None, force: bool) -> int:
    """Print J by object and the frames that differ most; write J by object and frame."""
    require_new_output(table, ".csv", force=force)
    source = open_frames(video)
    info = VideoInfo.from_source(source)
    one, other = read_annotations(first, info), read_annotations(second, info)
    scores = {(frame, object_id): score for frame, object_id, score in measure_agreement(one, other)}
    if not scores:
        raise InputError(f"{first}: shares no annotated frame with {second}; compare others")
    if table is not None:
        with atomic_path(table) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["frame", "object", "J"])
            writer.writerows([frame, each, f"{score:.4f}"] for (frame, each), score in scores.items())
    only = len(one.frames.keys() - other.frames.keys()), len(other.frames.keys() - one.frames.keys())
    print("\n".join(format_agreement(scores, one.class_names | other.class_names)))
    if any(only):
        print(f"not compared: {only[0]} frames only in {first}, {only[1]} only in {second}")
    return 0
