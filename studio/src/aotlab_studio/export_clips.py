"""Write the corrected masks of a list of videos into its results: ``aotlab export-clips results/batch``."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

import click

import aotlab
from aotlab import sdk


@sdk.command("aotlab export-clips")
@click.argument(
    "folder",
    metavar="FOLDER",
    type=Path,
    help="results of a list of videos, the --output of track --jobs, or a folder of videos",
)
@click.option(
    "--write",
    metavar="LIST",
    default="",
    help="outputs, comma-separated, besides those that each clip has; track --write help lists them all",
)
def main(folder: Path, *, write: str) -> int:
    """Write the corrected masks of a list of videos into its results."""
    from aotlab_studio.opening import open_document
    from aotlab_studio.session.batch import Batch
    from aotlab_studio.session.session import Session

    def open_session(path: Path, project: Path) -> Session:
        return Session(open_document(path, project=project), lambda: aotlab.Tracker.from_pretrained())

    with closing(Batch(folder, open_session)) as batch:
        exported = batch.export_all([name.strip() for name in write.split(",") if name.strip()])
    for problem in exported.problems:
        print(f"error: {problem}", file=sys.stderr)
    print(f"{folder}: {sdk.format_count(len(exported.names), 'corrected clip')} exported")
    if exported.left_out:
        print(f"left out: {', '.join(exported.left_out)}")
    if not (exported.names or exported.problems):
        print(f"set the status of clips to corrected or accepted in aotlab annotate {folder}")
    return 1 if exported.problems else 0
