"""Score result PNGs; needs no model.

aotlab score --dataset davis2017 --root datasets/DAVIS --results results/davis2017   # by a benchmark's rules
aotlab score --dataset davis2017 --results results/one results/other                 # both in one table
aotlab score results/clip --annotations clip/masks                                   # one video
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click import UsageError

from aotlab.dataloaders.benchmarks.datasets import DATASETS, find_dataset, find_default_root
from aotlab.dataloaders.benchmarks.sequences import list_masks, read_annotated_video, require_readable
from aotlab.media.job_record import read_job_record
from aotlab.media.labeled_video import Video, find_masks
from aotlab.tools.cli.command import command, require_new_output
from aotlab.tools.cli.options import BenchmarkOptions, benchmark_options, overwrite
from aotlab.tools.cli.types import ExistingPath, File, Folder, NonNegativeInt, PositiveInt, option
from aotlab.utils.errors import InputError, require_extra
from aotlab.utils.files import write_text

if TYPE_CHECKING:
    from aotlab.engine.benchmark.scoring import ScoringResult

log = logging.getLogger(__name__)


def write_json(path: Path | None, content: dict[str, Any]) -> None:
    """Write scores to the file of ``--json``, if it is given."""
    if path is not None:
        write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_single(result: Path, annotations: Path) -> tuple[Video, Path]:
    """Return the video of ``RESULT --annotations DIR``, and the parent of its folder of results."""
    from aotlab.engine.benchmark.scoring import find_rules
    from aotlab.evaluation.sequence_scores import require_predictions

    folder = result.resolve()
    masks, record = find_masks(folder), read_job_record(folder)
    if record is not None and record.error is not None:
        raise InputError(
            f"{result}: results of a run that did not end ({record.error}); run the track command again"
        )
    video = read_annotated_video(folder.name, annotations)
    if record is not None:
        video = select_tracked(video, masks)
    require_predictions(find_rules([video]).plan(video), masks)
    return video, folder.parent


def select_tracked(video: Video, masks: Path) -> Video:
    """Return a video without the annotated frames before the first and after the last mask of a finished run."""
    stems = {path.stem for path in list_masks(masks)}
    indices = [index for index, path in enumerate(video.frames) if path.stem in stems]
    frames = video.frames[indices[0] : indices[-1] + 1] if indices else video.frames
    if len(frames) == len(video.frames):
        return video
    log.warning("scored on frames %s to %s, which were tracked", frames[0].stem, frames[-1].stem)
    annotations = tuple(path for path in video.annotations if path in frames)
    return replace(video, frames=frames, annotations=annotations, reference_masks={0: frames[0]})


def compare_results(
    videos: list[Video], folders: Sequence[Path], workers: int
) -> tuple[dict[str, Any], bool]:
    """Score folders of results on their common sequences, and print a row of each.

    Returns:
        The table of each folder, and whether a sequence could not be scored.
    """
    from aotlab.engine.benchmark.scoring import find_rules, score_videos
    from aotlab.evaluation.tables import compare_tables, make_scores_table

    for folder in folders:
        require_results(videos, folder)
    layout = find_rules(videos).table
    reports = {str(folder): score_videos(videos, folder, workers=workers) for folder in folders}
    common = set.intersection(*(set(report.scores) for report in reports.values()))
    if not common:
        raise InputError(f"--results: no sequence is scored in all {len(folders)} folders; complete them")
    tables, rows = {}, {}
    for name, report in reports.items():
        scores = {sequence: report.scores[sequence] for sequence in report.scores if sequence in common}
        note = f" ({len(report.scores)} of {len(videos)} sequences)" if report.failures else ""
        tables[name] = rows[name + note] = make_scores_table(scores, layout)
    print(compare_tables(rows))
    if any(set(report.scores) != common for report in reports.values()):
        print(f"\nover the {len(common)} of {len(videos)} sequences that are scored in all folders")
    return tables, any(report.failures for report in reports.values())


def score_hota(benchmark: BenchmarkOptions, results: Path) -> dict[str, float | None]:
    """Score by TrackEval's HOTA, and print; return the values by column."""
    require_extra("hota")
    from aotlab.evaluation.hota import score_burst_hota
    from aotlab.media.burst import find_annotation_file

    root = benchmark.root or find_default_root(benchmark.dataset)
    videos = benchmark.open_videos()
    require_readable(videos)
    require_results(videos, results)
    table = score_burst_hota(videos, results, find_annotation_file(root, benchmark.split))
    for column, value in table.items():
        print(f"{column:<16}{'-' if value is None else f'{value:.1f}':>6}")
    return table


def select_scorable(benchmark: BenchmarkOptions, results: Path) -> list[Video]:
    """Return the videos with annotations; raise `InputError` if no video has any."""
    remedy = benchmark.describe_submission(results)
    from aotlab.engine.benchmark.scoring import has_annotations

    videos = benchmark.open_videos()
    scorable = [video for video in videos if has_annotations(video) or video.load_error is not None]
    if any(has_annotations(video) for video in scorable):
        if names := [video.name for video in videos if video not in scorable]:
            log.warning("not scored, without annotations: %s", ", ".join(names))
        return scorable
    if remedy is not None:
        raise InputError(f"--split {benchmark.split}: {remedy}")
    dataset = find_dataset(benchmark.dataset)
    raise InputError(
        f"--dataset {dataset.name} --split {benchmark.split}: only the first-frame masks are public; "
        f"expected annotations of more frames in {dataset.layout}"
    )


def require_results(videos: Sequence[Video], results: Path) -> None:
    """Raise `InputError` if no video has a folder of results; single missing folders are reported as failures."""
    if not any((results / video.name).is_dir() for video in videos):
        raise InputError(
            f"{results}: contains no results of the {len(videos)} sequences; "
            f"expected {results / videos[0].name}/<frame>.png and so on"
        )


def report_worst(
    table: dict[str, Any],
    column: str,
    videos: Sequence[Video],
    results: Path,
    report: ScoringResult,
    count: int,
    draw_folder: Path | None,
) -> None:
    """Print the ``count`` worst objects, and draw them into a folder, if it is given."""
    from aotlab.engine.benchmark.object_strips import write_strip
    from aotlab.evaluation.tables import list_worst_objects

    by_name = {video.name: video for video in videos}
    worst = list_worst_objects(table, count, column)
    if worst:
        print(f"\nworst {column}:")
    for rank, (name, item, value) in enumerate(worst, start=1):
        note = ""
        if draw_folder is not None:
            path, scores = draw_folder / f"{rank:02d}_{name}_{item}.jpg", report.scores[name]
            object_id = next(scored.object_id for scored in scores.objects if scored.name == item)
            has_frames = write_strip(path, by_name[name], results, scores=scores, object_id=object_id)
            note = f"  {path}" if has_frames else "  no frame to draw"
        print(f"{rank:4}  {value:5.1f}  {name}  {item}{note}")


@command("aotlab score")
@click.argument(
    "folders",
    metavar="[RESULTS]...",
    nargs=-1,
    type=ExistingPath,
    help="the same as --results; with --annotations: the folder with <frame>.png of one video",
)
@option(
    "--annotations",
    type=ExistingPath,
    help="score against the PNGs of this folder, as --dataset folder does",
)
@benchmark_options(DATASETS)
@option(
    "--results",
    type=ExistingPath,
    multiple=True,
    help="folder with <sequence>/<frame>.png; several are compared in one table",
)
@option("--json", "json_file", type=File, help="write the scores as JSON")
@option(
    "--workers",
    type=PositiveInt,
    default=os.cpu_count() or 1,
    help="processes that score sequences (default: one per core)",
)
@option("--worst", type=NonNegativeInt, default=0, help="list the N worst objects (default: none)")
@option("--draw-worst", "draw_folder", type=Folder, help="draw the worst objects into this folder")
@overwrite
def main(
    folders: tuple[Path, ...],
    *,
    annotations: Path | None,
    benchmark: BenchmarkOptions,
    results: tuple[Path, ...],
    json_file: Path | None,
    workers: int,
    worst: int,
    draw_folder: Path | None,
    force: bool,
) -> int:
    """Score folders of results."""
    results += folders
    if annotations is None and not benchmark.dataset:
        raise UsageError("--dataset: missing; give a benchmark, or the masks of one video as --annotations")
    if annotations is not None and (benchmark != BenchmarkOptions() or len(results) != 1):
        raise UsageError(
            "--annotations: scores one video; give its results as RESULTS, without --dataset and its options"
        )
    if not results:
        raise UsageError("RESULTS: missing; give a folder with <sequence>/<frame>.png")
    if len(results) > 1 and worst:
        raise UsageError("--worst: lists objects of one folder; give a single one")
    if draw_folder is not None and worst == 0:
        raise UsageError("--draw-worst needs --worst N: how many objects to draw")
    require_extra("score")
    require_new_output(json_file, ".json", force=force)
    require_new_output(draw_folder, force=force)
    folder = results[0]
    if annotations is not None:
        video, folder = read_single(folder, annotations)
        videos = [video]
    elif find_dataset(benchmark.dataset).hota:
        if worst or len(results) > 1:
            raise UsageError(
                f"--dataset {benchmark.dataset}: HOTA scores one folder of results, without --worst"
            )
        write_json(json_file, score_hota(benchmark, folder))
        return 0
    else:
        videos = select_scorable(benchmark, folder)
    from aotlab.engine.benchmark.scoring import find_rules, score_videos
    from aotlab.evaluation.tables import format_table, make_scores_table

    if len(results) > 1:
        tables, failed = compare_results(videos, results, workers)
        write_json(json_file, tables)
        return int(failed)
    require_results(videos, folder)
    report = score_videos(videos, folder, workers=workers)
    layout = find_rules(videos).table
    table = make_scores_table(report.scores, layout) if report.scores else {}
    if table:
        print(format_table(table, layout))
    # the same content as an evaluation run writes
    write_json(json_file, {**table, "fps": None, "failures": report.failures})
    if table:
        report_worst(table, layout.columns[0], videos, folder, report, worst, draw_folder)
    return int(bool(report.failures))  # each was logged


if __name__ == "__main__":
    sys.exit(main())
