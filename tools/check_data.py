"""Check data before using it.

aotlab check-data FOLDER --kind video                       # your own folder, before training
aotlab check-data datasets/SA-V --dataset sav --split val   # a benchmark
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from aotlab.dataloaders.benchmarks.datasets import DATASETS, open_dataset
from aotlab.tools.cli.parser import AT_LEAST_ONE, CommandParser, command, require_paths
from aotlab.utils.errors import require_extra
from aotlab.utils.numbers import align_columns

if TYPE_CHECKING:
    from aotlab.dataloaders.lint import LintResult

MAX_SIZES = 5


def format_summary(report: LintResult, kind: str) -> str:
    """Return the table of counts."""
    sizes = [f"{width}×{height} ({count})" for (height, width), count in report.sizes.most_common(MAX_SIZES)]
    if len(report.sizes) > MAX_SIZES:
        sizes.append(f"and {len(report.sizes) - MAX_SIZES} others")
    frames = "frames" if kind == "video" else "images"
    rows = {
        "videos" if kind == "video" else "sets": str(report.units),
        frames: str(report.frames),
        f"labelled {frames}": str(report.labelled),
        "objects": "not read (--quick)" if report.objects is None else str(report.objects),
        "sizes": ", ".join(sizes) or "none",
        "errors": str(report.errors),
        "warnings": str(sum(finding.level == "warning" for finding in report.findings)),
    }
    return "\n".join("  ".join(row).rstrip() for row in align_columns(list(rows.items())))


@command
def main(argv: list[str] | None = None) -> int:
    """Print findings and counts; return 1 if there are errors."""
    parser = CommandParser("check_data", "Check a folder of frames and masks before training.")
    parser.add_argument(
        "root", metavar="DIR", type=Path, help="folder with JPEGImages/ and Annotations/, or of a benchmark"
    )
    kinds = "video: a folder of frames for each video; static: single images"
    parser.add_argument("--kind", choices=("video", "static"), help=f"{kinds} (default: video)")
    parser.add_argument(
        "--dataset", metavar="NAME", help=f"check it as a benchmark: one of {', '.join(DATASETS)}"
    )
    parser.add_argument(
        "--split", metavar="NAME", default="val", help="with --dataset: train, val, test, ..."
    )
    parser.add_argument(
        "--quick", action="store_true", help="read sizes only, which finds no broken files and no ids"
    )
    workers = "threads that read frames (default: one per core, at most 8)"
    cores = min(os.cpu_count() or 1, 8)
    parser.add_argument("--workers", metavar="N", type=AT_LEAST_ONE, default=cores, help=workers)
    args = parser.parse_args(argv)
    if args.dataset is not None and args.kind is not None:
        parser.error("--kind: not with --dataset, which says what the folder holds; leave it out")
    require_paths(args.root)
    require_extra("train")
    from aotlab.dataloaders.lint import lint_folder, lint_videos

    options = {"decode": not args.quick, "workers": args.workers, "progress": True}
    if args.dataset is not None:
        report = lint_videos(open_dataset(args.dataset, args.root, args.split), **options)
    else:
        report = lint_folder(args.root, args.kind or "video", **options)
    for finding in report.findings:
        print(finding)
    print(format_summary(report, args.kind or "video"))
    return 1 if report.errors else 0


if __name__ == "__main__":
    sys.exit(main())
