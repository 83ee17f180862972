"""Write the corrected masks of one or several videos into their results: ``aotlab export-clips results/batch``."""

from __future__ import annotations

import sys
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import click

import aotlab_video
from aotlab import TrackerOptions, sdk
from aotlab.utils.text import format_count
from aotlab_studio.annotate import open_session
from aotlab_video.commands.options import output_options


@sdk.command("aotlab export-clips")
@click.argument("folder", metavar="FOLDER", type=Path, help="results of aotlab track, or a folder of videos")
@click.option(
    "--write",
    metavar="LIST",
    default="",
    help="outputs to add to those that each clip has, comma-separated; track --write help lists them all",
)
@output_options()
def main(folder: Path, *, write: str, **output_options: Any) -> int:
    """Write the corrected masks of one or several videos into their results."""
    from aotlab_studio.batch.batch import Batch
    from aotlab_studio.tracking.models import TrackerLoader

    opener = partial(open_session, loader=TrackerLoader(TrackerOptions()))
    with closing(Batch(folder, opener)) as batch:
        names = [name.strip() for name in write.split(",") if name.strip()]
        options = {name: value for name, value in output_options.items() if value}
        exported = batch.export_all(names, options=options)
    for problem in exported.problems:
        print(f"error: {problem}", file=sys.stderr)
    print(f"{folder}: {format_count(len(exported.names), 'clip')} exported")
    if exported.left_out:
        print(f"left out: {', '.join(exported.left_out)}")
    if not (exported.names or exported.problems):
        print(f"correct clips, or mark them as done, in aotlab annotate {folder}")
    is_single = aotlab_video.has_results(folder)
    return 1 if exported.problems or (is_single and not exported.names) else 0
