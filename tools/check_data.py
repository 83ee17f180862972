"""Check data before using it.

aotlab check-data FOLDER --kind video                       # your own folder, before training
aotlab check-data datasets/SA-V --dataset sav --split val   # a benchmark
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click
from click import UsageError

from aotlab.evaluation.benchmarks import find_benchmark
from aotlab.tools.cli.command import command
from aotlab.tools.cli.options import dataset_option, plugin_files
from aotlab.tools.cli.types import Choice, ExistingFolder, PositiveInt, option
from aotlab.utils.environment import count_cores
from aotlab.utils.text import align_columns

MAX_SIZES = 5


@command("aotlab check-data")
@click.argument("root", type=ExistingFolder, help="folder with JPEGImages/ and Annotations/, or folder of a benchmark")
@option(
    "--kind",
    type=Choice(("video", "static")),
    help="of your own folder; video: a folder of frames for each video; static: single images (default: video)",
)
@dataset_option(help="check it as a benchmark: ")
@plugin_files
@option("--split", metavar="NAME", help="with --dataset: train, val, test, ... (default: val)")
@option("--validation", type=ExistingFolder, help="with --kind video: folder of validation videos, to find shared ones")
@option(
    "--workers",
    type=PositiveInt,
    default=min(count_cores(), 8),
    help="threads that read frames (default: one per core of this process, at most 8)",
)
def main(
    root: Path,
    *,
    kind: Literal["video", "static"] | None,
    dataset: str | None,
    split: str | None,
    validation: Path | None,
    workers: int,
) -> int:
    if dataset and kind:
        raise UsageError("--kind: applies to your own folder; remove it, or --dataset")
    if split and not dataset:
        raise UsageError("--split: applies to a benchmark; remove it, or give --dataset")
    if validation and (dataset or kind == "static"):
        raise UsageError("--validation: applies to your own folder of videos; remove it")
    from aotlab.evaluation.check_data import check_folder, check_videos

    kind = kind or "video"
    if dataset:
        benchmark = find_benchmark(dataset)
        videos = benchmark.open_videos(root, split or "val")
        report = check_videos(videos, benchmark=benchmark, workers=workers)
    else:
        report = check_folder(root, kind, validation=validation, workers=workers)
    sizes = [f"{width}×{height} ({count})" for (height, width), count in report.sizes.most_common(MAX_SIZES)]
    if len(report.sizes) > MAX_SIZES:
        sizes.append(f"and {len(report.sizes) - MAX_SIZES} others")
    warnings, errors = (
        [finding for finding in report.findings if finding.level == level] for level in ("warning", "error")
    )
    frames = "frames" if kind == "video" else "images"
    rows = {
        "videos" if kind == "video" else "sets": str(report.num_videos),
        frames: str(report.num_frames),
        f"labeled {frames}": str(report.num_labeled),
        "objects": str(report.num_objects),
        "sizes": ", ".join(sizes) or "none",
        "errors": str(len(errors)),
        "warnings": str(len(warnings)),
    }
    print(*warnings, *align_columns(list(rows.items())), *errors, sep="\n")
    return 1 if errors else 0


if __name__ == "__main__":
    raise SystemExit(main())
