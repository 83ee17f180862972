"""Score result PNGs; needs no model.

aotlab score --dataset davis2017 --root datasets/DAVIS --results results/davis2017   # by a benchmark's rules
aotlab score --dataset davis2017 --results results/one results/other                 # both in one table
aotlab score results/clip --annotations clip/masks                                   # one video
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aotlab.dataloaders.benchmarks.datasets import (
    DATASETS,
    describe_submission,
    find_dataset,
    find_default_root,
    open_dataset,
)
from aotlab.dataloaders.benchmarks.sequences import read_annotated_video, require_readable, select_videos
from aotlab.media.labelled_video import Video
from aotlab.tools.cli.options import add_dataset_options, add_shared_options
from aotlab.tools.cli.parser import (
    AT_LEAST_ONE,
    NOT_NEGATIVE,
    CommandParser,
    command,
    report_failures,
    report_write_errors,
    require_new_output,
    require_paths,
)
from aotlab.utils.errors import InputError, require_extra
from aotlab.utils.files import is_folder, real_path, require_output, write_text

if TYPE_CHECKING:
    from aotlab.engine.benchmark.scoring import ScoringResult

log = logging.getLogger(__name__)


def read_single(result: Path, annotations: Path) -> tuple[Video, Path]:
    """Return the video of ``RESULT --annotations DIR``, and the folder that holds its folder of results."""
    require_paths(result, annotations)
    result = real_path(result)
    result = result / "masks" if is_folder(result / "masks") else result
    return read_annotated_video(result.name, annotations), result.parent


def score_masks(videos: list[Video], results: Path, args: argparse.Namespace) -> int:
    """Score, write and print; return the exit status."""
    from aotlab.engine.benchmark.scoring import find_rules, score_videos
    from aotlab.evaluation.tables import format_table, make_scores_table, worst_objects

    require_results(videos, results)
    report = score_videos(videos, results, workers=args.workers, progress=True)
    layout = find_rules(videos).table
    table = make_scores_table(report.scores, layout) if report.scores else {}
    if table:
        print(format_table(table, layout))
    status = report_failures(report.failures)
    with report_write_errors():
        # the same content as an evaluation run writes
        write_json(args.json, {**table, "fps": None, "failures": report.failures})
        if table:
            column = layout.columns[0]
            worst = worst_objects(table, args.worst, column)
            print_worst(worst, column, draw_worst(worst, videos, results, report, args.draw_worst))
    return status


def compare_results(videos: list[Video], args: argparse.Namespace) -> int:
    """Score several folders of results on their common sequences and print a row of each; return the exit status."""
    from aotlab.engine.benchmark.scoring import find_rules, score_videos
    from aotlab.evaluation.tables import compare_tables, make_scores_table

    for results in args.results:
        require_results(videos, results)
    scores_by_folder, failures, layout = {}, {}, find_rules(videos).table
    for results in args.results:
        report = score_videos(videos, results, workers=args.workers, progress=True)
        scores_by_folder[str(results)] = report.scores
        failures |= {f"{results}: {name}": text for name, text in report.failures.items()}
    status = report_failures(failures)
    common = set.intersection(*(set(scores) for scores in scores_by_folder.values()))
    if not common:
        raise InputError(
            f"--results: no sequence is scored in all {len(args.results)} folders; complete them"
        )
    tables = {
        folder: make_scores_table({name: scores[name] for name in scores if name in common}, layout)
        for folder, scores in scores_by_folder.items()
    }
    print(compare_tables(tables))
    if any(set(scores) != common for scores in scores_by_folder.values()):
        print(f"\nover the {len(common)} of {len(videos)} sequences that are scored in all folders")
    with report_write_errors():
        write_json(args.json, tables)
    return status


def write_json(path: Path | None, content: dict[str, Any]) -> None:
    """Write scores as JSON; None: nowhere."""
    if path is not None:
        write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def score_hota(args: argparse.Namespace) -> int:
    """Score by TrackEval's HOTA, write and print; return the exit status."""
    if args.worst:
        raise InputError(f"--dataset {args.dataset}: HOTA has no --worst; leave it out")
    results, *others = args.results
    if others:
        raise InputError(f"--results: {args.dataset} is scored one folder at a time; leave out {others[0]}")
    require_extra("hota")
    from aotlab.dataloaders.benchmarks.burst import find_annotation_file, write_predictions, write_selection
    from aotlab.evaluation.hota import score_burst_hota

    root = args.root if args.root is not None else find_default_root(find_dataset(args.dataset)[0])
    videos = select_videos(open_dataset(args.dataset, args.root, args.split), args.sequence)
    require_readable(videos)
    require_results(videos, results)
    names = [video.name for video in videos]
    with tempfile.TemporaryDirectory() as folder:
        truth, predictions = Path(folder) / "truth.json", Path(folder) / "found.json"
        write_selection(truth, find_annotation_file(root, args.split), names)
        write_predictions(predictions, truth, results, names)
        table = score_burst_hota(truth, predictions)
    for column, value in table.items():
        print(f"{column:<16}{'-' if value is None else f'{value:.1f}':>6}")
    with report_write_errors():
        write_json(args.json, table)
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = CommandParser("score", "Score result PNGs by a benchmark's rules.")
    result = "with --annotations: folder with <frame>.png"
    parser.add_argument("result", metavar="RESULT", type=Path, nargs="?", help=result)
    annotations = "score RESULT against the PNGs of this folder, by the rules of DAVIS 2017"
    parser.add_argument("--annotations", metavar="DIR", type=Path, help=annotations)
    add_dataset_options(parser, list(DATASETS), split="val")
    folders = "folder with <sequence>/<frame>.png; several are compared in one table"
    parser.add_argument("--results", metavar="DIR", type=Path, nargs="+", help=folders)
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the scores as JSON")
    cores = os.cpu_count() or 1
    workers = "processes that score sequences (default: one per core)"
    parser.add_argument("--workers", metavar="N", type=AT_LEAST_ONE, default=cores, help=workers)
    parser.add_argument("--worst", metavar="N", type=NOT_NEGATIVE, default=0, help="list the N worst objects")
    parser.add_argument(
        "--draw-worst", metavar="DIR", type=Path, help="draw the worst objects into this folder"
    )
    add_shared_options(parser, "--force")
    args = parser.parse_args(argv)
    if args.result is None and args.annotations is None and args.dataset is None:
        parser.error("missing: the results of a video as RESULT, or the benchmark as --dataset")
    if args.annotations is not None and (args.dataset is not None or args.results is not None):
        parser.error("--annotations: scores one video; leave out --dataset and --results")
    for one, other in (("result", "annotations"), ("annotations", "result"), ("dataset", "results")):
        if getattr(args, one) is not None and getattr(args, other) is None:
            parser.error(f"missing: {'RESULT' if other == 'result' else f'--{other}'}")
    if args.results is not None and len(args.results) > 1 and args.worst:
        parser.error("--worst: lists objects of one folder; give a single one as --results")
    if args.draw_worst is not None and args.worst == 0:
        parser.error("--draw-worst needs --worst N: how many objects to draw")
    return args


def select_scorable(videos: Sequence[Video], args: argparse.Namespace) -> list[Video]:
    """Return the videos with annotations; raise `InputError` if no video has any."""
    from aotlab.engine.benchmark.scoring import has_annotations

    known = [video for video in videos if has_annotations(video) or video.problem is not None]
    if any(has_annotations(video) for video in known):
        hidden = [video.name for video in videos if video not in known]
        if hidden:
            log.warning("not scored, without annotations: %s", ", ".join(hidden))
        return known
    remedy = describe_submission(args.dataset, args.root, args.split, args.results[0])
    if remedy is not None:
        raise InputError(f"--split {args.split}: {remedy}")
    name, dataset = find_dataset(args.dataset)
    raise InputError(
        f"--dataset {name} --split {args.split}: no ground truth beside the given masks; "
        f"expected annotations of more frames in {dataset.layout}"
    )


def require_results(videos: Sequence[Video], results: Path) -> None:
    """Raise `InputError` if no video has a folder of results; single missing folders are reported as failures."""
    if not any(is_folder(results / video.name) for video in videos):
        raise InputError(
            f"{results}: holds no results of the {len(videos)} sequences; "
            f"expected {results / videos[0].name}/<frame>.png and so on"
        )


def draw_worst(
    worst: Sequence[tuple[str, str, float]],
    videos: Sequence[Video],
    results: Path,
    report: ScoringResult,
    folder: Path | None,
) -> list[Path]:
    """Draw objects into a folder; return the files, in order. None: draw nothing."""
    from aotlab.engine.benchmark.object_strips import write_strip

    by_name, paths = {video.name: video for video in videos}, []
    for rank, (name, item, _) in enumerate(worst if folder is not None else (), start=1):
        path, scores = Path(folder or "") / f"{rank:02d}_{name}_{item}.jpg", report.scores[name]
        object_id = scores.ids[scores.object_names.index(item)]
        write_strip(path, by_name[name], results, scores=scores, object_id=object_id)
        paths.append(path)
    return paths


def print_worst(worst: Sequence[tuple[str, str, float]], column: str, drawn: Sequence[Path]) -> None:
    """Print the worst objects, with the file of each that was drawn."""
    if worst:
        print(f"\nworst {column}:")
    for rank, ((name, item, value), path) in enumerate(zip_longest(worst, drawn), start=1):
        print(f"{rank:4}  {value:5.1f}  {name}  {item}" + (f"  {path}" if path else ""))


@command
def main(argv: list[str] | None = None) -> int:
    """Score; return 0, or 1 if a sequence could not be scored."""
    args = parse(argv)
    require_extra("score")
    for path in (args.json, args.draw_worst):
        require_new_output(path, force=args.force)
    if args.json is not None:
        require_output(args.json)
    if args.annotations is not None:
        video, results = read_single(args.result, args.annotations)
        return score_masks([video], results, args)
    if find_dataset(args.dataset)[1].hota:
        return score_hota(args)
    every = open_dataset(args.dataset, args.root, args.split, new_objects=args.new_objects)
    if describe_submission(args.dataset, args.root, args.split, args.results[0]) is None:
        require_paths(*args.results)
    videos = select_scorable(select_videos(every, args.sequence), args)
    if len(args.results) > 1:
        return compare_results(videos, args)
    return score_masks(videos, args.results[0], args)


if __name__ == "__main__":
    sys.exit(main())
