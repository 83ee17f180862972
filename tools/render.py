"""Write more outputs of tracked videos: ``aotlab render results --write overlay,coco``."""

from __future__ import annotations

import logging
import os
import shlex
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import click
from click import UsageError

from aotlab.jobs.output_options import NO_OPTIONS
from aotlab.tools.cli.command import command, report_failures
from aotlab.tools.cli.options import output_options, parse_output_name
from aotlab.tools.cli.types import ExistingFolder, flag, list_option
from aotlab.utils.errors import InputError, require
from aotlab.utils.text import format_count

log = logging.getLogger(__name__)
PROJECT_SUFFIX = ".aotlab"
"""Suffix of the studio's project beside results."""


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
def main(
    results: tuple[Path, ...],
    *,
    write: tuple[str, ...],
    missing: bool,
    output_options: Mapping[str, Any] = NO_OPTIONS,
) -> int:
    """Write outputs of results without tracking again."""
    if not write:
        raise UsageError("--write: missing; give outputs such as overlay,coco")
    from aotlab.jobs.batch import list_job_folders
    from aotlab.jobs.job import RunOptions
    from aotlab.jobs.run import render
    from aotlab.media.results import has_results

    RunOptions(write, output_options=output_options)  # checked before the first of many videos
    folders = list[Path]()
    for path in results:
        found = [path] if has_results(path) else list_job_folders(path)
        for project in (path, path.absolute().parent) if not found else ():
            if project.suffix == PROJECT_SUFFIX:
                corrected = project.with_suffix("")
                remedy = "write outputs with Export on its page"
                if has_results(corrected):
                    remedy = f"render {corrected} after {format_export_command(corrected)}"
                raise InputError("belongs to a project of aotlab annotate", subject=path, remedy=remedy)
        require(found, "contains no results of aotlab track", subject=path, remedy="give its --output")
        folders += found
    failures = dict[str, str]()
    for folder in folders:
        if has_newer_project(folder):
            command = format_export_command(folder)
            log.warning("%s: lacks later edits in its project; %s writes them into it", folder, command)
        try:
            result = render(folder, write, output_options=output_options, missing=missing)
            print(*result.summaries, f"{folder}: {', '.join(result.rendered) or 'complete'}", sep="\n")
        except InputError as error:
            failures[str(folder)] = str(error).removeprefix(f"{folder}: ")
    if len(folders) == 1 and failures:
        raise InputError("".join(f"{folder}: {problem}" for folder, problem in failures.items()))
    if len(folders) > 1:
        print(f"{len(folders) - len(failures)} of {format_count(len(folders), 'video')} done")
    return report_failures(failures)


def format_export_command(folder: Path) -> str:
    """Return the command that writes the masks of the studio's project into results."""
    return f"aotlab export-clips {shlex.quote(str(folder))}"


def has_newer_project(folder: Path) -> bool:
    """Return whether the studio's project of results was edited after their masks were written."""
    import sqlite3

    from aotlab.media.results import Results

    project = Path(f"{os.path.abspath(folder)}{PROJECT_SUFFIX}") / "project.sqlite"
    with suppress(OSError, sqlite3.Error):
        if project.stat().st_mtime > (folder / Results.journal).stat().st_mtime:
            with closing(sqlite3.connect(f"{project.as_uri()}?mode=ro", uri=True)) as connection:
                (count,) = connection.execute("SELECT COUNT(*) FROM records").fetchone()
                return bool(count > 1)  # the first one loads the results
    return False


if __name__ == "__main__":
    raise SystemExit(main())
