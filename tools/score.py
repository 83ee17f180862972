"""Score result PNGs; needs no model.

aotlab score --dataset davis2017 --root datasets/DAVIS results/davis2017   # by a benchmark's rules
aotlab score --dataset davis2017 results/one results/other                 # both in one table
aotlab score --dataset davis2017 results/one results/other --compare       # and their difference on each object
aotlab score results/clip --annotations clip/masks                         # one video
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click import UsageError

from aotlab.dataloaders.labeled_video import Video
from aotlab.evaluation.benchmarks import find_benchmark, select_videos
from aotlab.tools.cli.command import command, find_given_option, option_group, require_new_output
from aotlab.tools.cli.options import (
    benchmark_options,
    explain_no_score,
    force_file,
    format_option,
    measure_option,
    plugin_files,
)
from aotlab.tools.cli.types import ExistingFolder, File, Folder, NonNegativeInt, PositiveInt, flag, option
from aotlab.utils.environment import count_cores
from aotlab.utils.errors import InputError, require, require_modules
from aotlab.utils.files import write_json
from aotlab.utils.locks import locked_output
from aotlab.utils.provenance import describe_program
from aotlab.utils.text import format_count

if TYPE_CHECKING:
    from aotlab.evaluation.benchmark import Benchmark
    from aotlab.evaluation.scoring import ScoringResult
    from aotlab.evaluation.worst_frames import WorstFrame
    from aotlab.utils.tables import TableFormat

log = logging.getLogger(__name__)


def describe_progress(report: ScoringResult, videos: Sequence[Video]) -> str:
    """Return the number of scored sequences for messages; empty if all are scored."""
    return f" ({len(report.scores)} of {len(videos)} sequences)" if report.failures else ""


def tabulate_reports(
    benchmark: Benchmark, reports: Mapping[str, ScoringResult], videos: Sequence[Video]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the table of each folder of results over their common sequences, by folder, and by its title."""
    from aotlab.evaluation.tables import make_scores_table

    common = set.intersection(*(set(report.scores) for report in reports.values()))
    require(common, f"no sequence is scored in all {len(reports)} folders", remedy="complete them")
    tables, rows = {}, {}
    for name, report in reports.items():
        scores = {sequence: report.scores[sequence] for sequence in report.scores if sequence in common}
        tables[name] = rows[name + describe_progress(report, videos)] = make_scores_table(benchmark, scores)
    return tables, rows


def compare_halves(
    benchmark: Benchmark,
    tables: Mapping[str, Mapping[str, Any]],
    titles: Sequence[str],
    plot_file: Path | None,
    style: TableFormat,
) -> dict[str, Any]:
    """Print how the second half of the tables, by folder, differs from the first; return it with the folders.

    ``titles``: folders as printed. ``plot_file``: file for a plot of the differences; None: it is not drawn.
    """
    from aotlab.evaluation.comparison import (
        compare_systems,
        format_differences,
        format_means,
        plot_comparison,
        select_columns,
    )

    columns, names = select_columns(benchmark), [*tables]
    halves = names[: len(names) // 2], names[len(names) // 2 :]
    first, second = ([tables[name] for name in half] for half in halves)
    content = compare_systems(first, second, columns)
    count = len(halves[0])
    print_note(style, f"\nfirst: {', '.join(titles[:count])}\nsecond: {', '.join(titles[count:])}\n")
    print(format_means(benchmark, content, style))
    print_note(style, format_differences(content, columns))
    if plot_file is not None:
        plot_comparison(plot_file, content, columns[0])
    return {"first": halves[0], "second": halves[1], **content}


def select_scorable(
    benchmark: Benchmark, videos: Sequence[Video], root: Path | None, split: str, results: Path
) -> list[Video]:
    """Return the videos with annotations; raise `InputError` if no video has any."""
    scorable = [video for video in videos if benchmark.has_annotations(video) or video.load_error is not None]
    if any(map(benchmark.has_annotations, scorable)):
        if names := [video.name for video in videos if video not in scorable]:
            log.warning("not scored, without annotations: %s", ", ".join(names))
        return scorable
    if (remedy := explain_no_score(benchmark, root, split, results)) is not None:
        raise InputError(remedy, subject=f"--split {split}")
    raise InputError(
        "only the first-frame masks are public",
        subject=f"--dataset {benchmark.name} --split {split}",
        remedy=f"expected annotations of more frames in {benchmark.layout}",
    )


def print_note(style: TableFormat, text: str) -> None:
    """Print text beside a table, on standard error if the table is not text."""
    print(text, file=sys.stdout if style == "text" else sys.stderr)


def print_worst(
    benchmark: Benchmark,
    content: Mapping[str, Any],
    frames: Sequence[WorstFrame],
    systems: Sequence[Sequence[tuple[Path, ScoringResult]]],
    videos: Sequence[Video],
    draw_folder: Path | None,
    style: TableFormat,
) -> None:
    """Print the worst sequences and frames, and draw the frames if there is a folder for the images.

    ``systems``: the folders of results of each run, with their scores.
    """
    from aotlab.evaluation.worst_frames import draw_worst_frames

    spec, verb = ("5.1f", "worst {}") if len(systems) == 1 else ("+6.1f", "{} on which the second loses most")
    title, lines = f"{verb} in {benchmark.columns[0]}:{{}}", []
    sequences = content["worst_sequences"]
    lines.append(title.format("sequences", "" if sequences else " no sequence"))
    lines += [f"{rank:4}  {value:{spec}}  {name}" for rank, (name, value) in enumerate(sequences.items(), start=1)]

    notes = [""] * len(frames)
    if draw_folder is not None:
        titles = ("result",) if len(systems) == 1 else ("first", "second")
        folders = {title: system[0][0] for title, system in zip(titles, systems, strict=True)}
        with locked_output(draw_folder):
            paths = draw_worst_frames(draw_folder, frames, videos, folders, systems[0][0][1].scores)
        notes = [str(path) for path in paths]
    lines.append(title.format("frames", "" if frames else " no frame"))
    for rank, (entry, note) in enumerate(zip(frames, notes, strict=True), start=1):
        stretch = "" if entry.first == entry.last else f"  ({entry.first} to {entry.last})"
        text = f"{rank:4}  {entry.value:{spec}}  {entry.sequence}  {entry.object_name}  {entry.frame}{stretch}  {note}"
        lines.append(text.rstrip())
    print_note(style, "\n".join(["", *lines]))


def score_folders(
    benchmark: Benchmark, videos: Sequence[Video], results: Sequence[Path], workers: int
) -> list[ScoringResult]:
    """Score folders of results; raise `InputError` for one without any sequence. Single missing ones are failures."""
    from aotlab.evaluation.scoring import score_videos

    for folder in results:
        if not any((folder / video.name).is_dir() for video in videos):
            raise InputError(
                f"contains no results of {format_count(len(videos), 'sequence')}",
                subject=folder,
                remedy=f"expected {folder / videos[0].name}/<frame>.png and so on",
            )
    return [score_videos(benchmark, videos, folder, workers=workers) for folder in results]


def report_scores(benchmark: Benchmark, report: ScoringResult, style: TableFormat) -> dict[str, Any]:
    """Print the scores of a folder of results; return the content of `scores.json`."""
    from aotlab.evaluation.tables import format_table, make_scores_table

    table: dict[str, Any] = {}
    if report.scores:
        table = make_scores_table(benchmark, report.scores)
        text, summary = format_table(table, benchmark.all_columns, style)
        print(text)
        count = len(report.scores) + len(report.failures)
        progress = f"over {len(report.scores)} of {format_count(count, 'sequence')}" if report.failures else ""
        for note in filter(None, (summary, progress)):
            print_note(style, f"\n{note}")
    table |= {**benchmark.describe_measures(), "frames": report.count_frames()}
    return {**table, "fps": None, "failures": report.failures}


@command("aotlab score")
@click.argument(
    "results",
    metavar="RESULTS...",
    nargs=-1,
    type=ExistingFolder,
    required=True,
    help="folder with <sequence>/<frame>.png; several are compared in one table; with --annotations: a folder with "
    "<frame>.png of one video",
)
@option("--annotations", type=ExistingFolder, help="folder of PNGs to score one video against")
@benchmark_options()
@option(
    "--workers",
    type=PositiveInt,
    default=count_cores(),
    help="processes that score sequences (default: one per core of this process)",
)
@option_group(
    "output",
    measure_option,
    plugin_files,
    format_option,
    option("--json", "json_file", type=File, help="write the scores as JSON"),
    flag(
        "--compare",
        "compare the second half of RESULTS with the first, for example A B, or two runs each: A1 A2 B1 B2",
    ),
    option("--plot", "plot_file", type=File, help="with --compare: draw the differences as PNG, PDF or SVG"),
    option(
        "--worst",
        type=NonNegativeInt,
        default=0,
        help="list the N worst sequences and frames, with --compare those on which the second half loses most "
        "(default: 0)",
    ),
    option("--draw-worst", "draw_folder", type=Folder, help="draw the worst frames into this folder"),
    force_file,
)
def main(
    results: tuple[Path, ...], *, annotations: Path | None, dataset: str | None, root: Path | None, split: str,
    sequence: tuple[str, ...], new_objects: bool, strict_protocol: bool, workers: int, measure: tuple[str, ...],
    style: TableFormat, json_file: Path | None, compare: bool, plot_file: Path | None, worst: int,
    draw_folder: Path | None, force: bool,
) -> int:  # fmt: skip
    if draw_folder is not None and not worst:
        raise UsageError("--draw-worst: needs the number of frames; give --worst N")
    if plot_file is not None and not compare:
        raise UsageError("--plot: draws a comparison; give --compare")
    require_new_output(json_file, ".json", force=force)
    require_new_output(plot_file, ".png", ".pdf", ".svg", force=force)
    require_new_output(draw_folder, force=force)
    if plot_file is not None:
        require_modules("matplotlib")
    if not (annotations or dataset):
        raise UsageError("--dataset: missing; give a benchmark, or the masks of one video as --annotations")
    if annotations is not None and (find_given_option("benchmark") or len(results) != 1):
        raise UsageError(
            "--annotations: scores one video; give its results as RESULTS, without --dataset and its options"
        )
    folders = [path.resolve() for path in results]
    if repeated := [path for index, path in enumerate(results) if folders[index] in folders[:index]]:
        raise UsageError(f"RESULTS {repeated[0]}: given twice; give each folder once")
    if compare and len(results) % 2:
        raise UsageError("--compare: needs two RESULTS, or several runs of two systems, as many of each")
    if len(results) > 1 and worst and not compare:
        raise UsageError("--worst: scores one folder of results; give a single one, or --compare")
    flags = ["new_objects"] * new_objects + ["strict_protocol"] * strict_protocol
    benchmark = find_benchmark(dataset or "folder", flags, measures=measure)
    if annotations is None:
        videos = select_videos(benchmark.open_videos(root, split), sequence)
        videos = select_scorable(benchmark, videos, root, split, results[0])
    else:
        from aotlab.evaluation.scoring import read_tracked_video

        video, folder = read_tracked_video(benchmark, results[0], annotations)
        videos, results = [video], (folder,)
    runs = [*zip(results, score_folders(benchmark, videos, results, workers), strict=True)]
    systems = [runs]
    if len(runs) > 1:
        from aotlab.evaluation.tables import compare_tables

        content, rows = tabulate_reports(benchmark, {str(folder): report for folder, report in runs}, videos)
        if style == "text" or not compare:
            print(compare_tables(benchmark, rows, style))
        num_common = min(len(table["sequences"]) for table in rows.values())
        if any(len(report.scores) > num_common for _, report in runs):
            note = f"over the {num_common} of {len(videos)} sequences that are scored in all folders"
            print_note(style, f"\n{note}")
        if compare:
            systems = [runs[: len(runs) // 2], runs[len(runs) // 2 :]]
            inputs = {"dataset": benchmark.name, "split": split, **dict.fromkeys(flags, True)}
            content = compare_halves(benchmark, content, [*rows], plot_file, style)
            content |= {**benchmark.describe_measures(), "inputs": inputs, "provenance": describe_program()}
    else:
        content = report_scores(benchmark, runs[0][1], style)
    frames: list[WorstFrame] = []
    if worst:
        from aotlab.evaluation.worst_frames import find_worst_frames, rank_sequences

        frames = find_worst_frames(benchmark, [[report.scores for _, report in system] for system in systems], worst)
        content["worst_sequences"] = rank_sequences(content, benchmark.columns[0], worst, limit=0 if compare else 100)
        content["worst_frames"] = [frame._asdict() for frame in frames]
    if json_file is not None:
        write_json(json_file, content, indent=2)
    if worst and runs[0][1].scores:
        print_worst(benchmark, content, frames, systems, videos, draw_folder, style)
    return int(any(report.failures for _, report in runs))  # each was logged


if __name__ == "__main__":
    raise SystemExit(main())
