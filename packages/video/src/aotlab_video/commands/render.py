"""Write more outputs of tracked videos: ``aotlab render results --write overlay,coco``."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import click
from click import UsageError

from aotlab.tools.cli.command import command, report_failures
from aotlab.tools.cli.types import ExistingFolder, flag, list_option
from aotlab.utils.errors import InputError, require
from aotlab.utils.text import format_count
from aotlab_video.commands.options import output_options, parse_output_name

log = logging.getLogger("aotlab.video")


@command("aotlab render")
@click.argument(
    "results",
    metavar="RESULTS...",
    nargs=-1,
    required=True,
    type=ExistingFolder,
    help="folders of results of aotlab track, also corrected ones, or of lists of videos",
)
@list_option("--write", "outputs to write or replace, comma-separated, or help to list them all", parse_output_name)
@flag("--missing", "only write outputs that do not exist, or were written with other options")
@output_options()
def main(results: tuple[Path, ...], *, write: tuple[str, ...], missing: bool, **output_options: Any) -> int:
    """Write outputs of results without tracking again."""
    if not write:
        raise UsageError("--write: missing; give outputs such as overlay,coco")
    from aotlab.sdk import build
    from aotlab_video.runs.job import RunOptions
    from aotlab_video.runs.lists import list_job_folders
    from aotlab_video.runs.store import has_results
    from aotlab_video.runs.views import render

    options = {name: value for name, value in output_options.items() if value}
    build(RunOptions, {"write": write, "output_options": options})  # checked before the first of many videos
    folders = list[Path]()
    for path in results:
        found = [path] if has_results(path) else list_job_folders(path)
        require(found, "contains no results of aotlab track", subject=path, remedy="give its --output")
        folders += found
    failures = dict[str, str]()
    for folder in folders:
        try:
            result = render(folder, write, output_options=options, missing=missing)
            print(*result.summaries, f"{folder}: {', '.join(result.rendered) or 'complete'}", sep="\n")
        except InputError as error:
            failures[str(folder)] = str(error).removeprefix(f"{folder}: ")
    if len(folders) == 1 and failures:
        raise InputError("".join(f"{folder}: {problem}" for folder, problem in failures.items()))
    if len(folders) > 1:
        print(f"{len(folders) - len(failures)} of {format_count(len(folders), 'video')} done")
    return report_failures(failures)
