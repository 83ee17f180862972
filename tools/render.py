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

from aotlab.jobs.output_options import NO_OPTIONS, parse_output_options
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
    from aotlab.jobs.outputs import find_output
    from aotlab.media.results import has_results

    for name in write:  # before the first of many videos
        find_output(name)
    options = parse_output_options(output_options, write)
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
            names = render_folder(folder, write, options, missing=missing)
            print(f"{folder}: {', '.join(names) or 'complete'}")
        except InputError as error:
            failures[str(folder)] = str(error).removeprefix(f"{folder}: ")
    if len(folders) == 1 and failures:
        raise InputError("".join(f"{folder}: {problem}" for folder, problem in failures.items()))
    if len(folders) > 1:
        print(f"{len(folders) - len(failures)} of {format_count(len(folders), 'video')} done")
    return report_failures(failures)


def render_folder(folder: Path, write: tuple[str, ...], options: Mapping[str, Any], *, missing: bool) -> list[str]:
    """Write outputs of the results in a folder; return their names.

    Raises:
        InputError: the video is missing or has changed, a mask is missing, or an output cannot be written.
    """
    from aotlab.jobs.outputs import list_missing_outputs, render
    from aotlab.media.frame_numbers import FrameNumbers
    from aotlab.media.results import MASKS, Results
    from aotlab.media.video import open_frames
    from aotlab.utils.locks import locked_output

    with locked_output(folder):
        results = Results.read(folder)
        require(results is not None and results.entries, "no frame is tracked", remedy="track the video first")
        assert results is not None
        names = [name for name in dict.fromkeys(write) if name != MASKS]
        if missing:
            names = list_missing_outputs(results, names, options)
        if absent := results.describe_missing():
            raise InputError(f"{absent} are missing", remedy="track the video again")
        video = results.find_video()
        results.require_same_video(video)
        source = open_frames(video, **results.video_options)
        number = FrameNumbers(source, by_name=results.by_name).number
        for summary in render(results, source, names, options=options, frame_number=number).summaries:
            print(summary)
    return names


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
