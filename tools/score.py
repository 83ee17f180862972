"""Score result PNGs; needs no model.

aotlab score --dataset davis2017 --root datasets/DAVIS --results results/davis2017   # by a benchmark's rules
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
from pathlib import Path
from typing import TYPE_CHECKING

from aotlab.dataloaders.benchmarks.datasets import (
    DATASETS,
    describe_submission,
    find_dataset,
    find_default_root,
    open_dataset,
)
from aotlab.dataloaders.benchmarks.sequences import (
    Video,
    read_annotated_video,
    require_readable,
    select_videos,
)
from aotlab.tools.cli.options import add_dataset_options, add_shared_options
from aotlab.tools.cli.parser import (
    AT_LEAST_ONE,
    NOT_NEGATIVE,
    CommandParser,
    command,
    report_failures,
    require_new_output,
    require_paths,
    stop_on_write_errors,
)
from aotlab.utils.errors import InputError, require_extra
from aotlab.utils.files import is_folder, real_path, require_output, write_text

if TYPE_CHECKING:
    from aotlab.engine.benchmark.scoring import ScoringResult

log = logging.getLogger(__name__)


def select_one_video(args: argparse.Namespace) -> Video:
    """Return the video of ``RESULT --annotations DIR``; set ``--results`` to the folder that holds its results."""
    require_paths(args.result, args.annotations)
    result = real_path(args.result)
    result = result / "masks" if is_folder(result / "masks") else result
    args.results = result.parent
    return read_annotated_video(result.name, args.annotations)


def score_masks(videos: list[Video], args: argparse.Namespace) -> int:
    """Score, write and print; return the exit status."""
    from aotlab.engine.benchmark.scoring import find_rules, score_videos
    from aotlab.evaluation.tables import format_table, make_scores_table, worst_objects

    require_results(videos, args)
    report = score_videos(videos, args.results, workers=args.workers, progress=True)
    layout = find_rules(videos).table
    table = make_scores_table(report.scores, layout) if report.scores else {}
    if table:
        print(format_table(table, layout))
    status = report_failures(report.failures)
    with stop_on_write_errors():
        if args.json is not None:
            # the same content as an evaluation run writes
            content = {**table, "fps": None, "failures": report.failures}
            write_text(args.json, json.dumps(content, indent=2, allow_nan=False) + "\n")
        if table:
            column = layout.columns[0]
            print_worst(worst_objects(table, args.worst, column), column, videos, report, args)
    return status


def score_hota(args: argparse.Namespace) -> int:
    """Score by TrackEval's HOTA, write and print; return the exit status."""
    if args.worst:
        raise InputError(f"--dataset {args.dataset}: HOTA has no --worst; leave it out")
    require_extra("hota")
    from aotlab.dataloaders.benchmarks.burst import find_annotation_file, write_predictions, write_selection
    from aotlab.evaluation.hota import score_burst_hota

    root = args.root if args.root is not None else find_default_root(find_dataset(args.dataset)[0])
    videos = select_videos(open_dataset(args.dataset, args.root, args.split), args.sequence)
    require_readable(videos)
    require_results(videos, args)
    names = [video.name for video in videos]
    with tempfile.TemporaryDirectory() as folder:
        truth, predictions = Path(folder) / "truth.json", Path(folder) / "found.json"
        write_selection(truth, find_annotation_file(root, args.split), names)
        write_predictions(predictions, truth, args.results, names)
        table = score_burst_hota(truth, predictions)
    for column, value in table.items():
        print(f"{column:<16}{'-' if value is None else f'{value:.1f}':>6}")
    if args.json is not None:
        with stop_on_write_errors():
            write_text(args.json, json.dumps(table, indent=2) + "\n")
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = CommandParser("score", "Score result PNGs by a benchmark's rules.")
    result = "with --annotations: folder with <frame>.png"
    parser.add_argument("result", metavar="RESULT", type=Path, nargs="?", help=result)
    annotations = "score RESULT against the PNGs of this folder, by the rules of DAVIS 2017"
    parser.add_argument("--annotations", metavar="DIR", type=Path, help=annotations)
    add_dataset_options(parser, list(DATASETS), split="val")
    parser.add_argument("--results", metavar="DIR", type=Path, help="folder with <sequence>/<frame>.png")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the scores as JSON")
    cores = os.cpu_count() or 1
    parser.add_argument(
        "--workers", metavar="N", type=AT_LEAST_ONE, default=cores, help="processes (default: one per core)"
    )
    parser.add_argument("--worst", metavar="N", type=NOT_NEGATIVE, default=0, help="list the N worst objects")
    parser.add_argument(
        "--draw-worst", metavar="DIR", type=Path, help="draw the worst objects into this folder"
    )
    add_shared_options(parser, "--force")
    args = parser.parse_args(argv)
    if (args.result is None) != (args.annotations is None) or (args.result or args.dataset) is None:
        parser.error("give RESULT with --annotations, or --dataset with --results")
    if args.annotations is None and args.results is None:
        parser.error("--results must be given")
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
    remedy = describe_submission(args.dataset, args.root, args.split, args.results)
    if remedy is not None:
        raise InputError(f"--split {args.split}: {remedy}")
    name, dataset = find_dataset(args.dataset)
    raise InputError(
        f"--dataset {name} --split {args.split}: no ground truth beside the given masks; "
        f"expected annotations of more frames in {dataset.layout}"
    )


def require_results(videos: Sequence[Video], args: argparse.Namespace) -> None:
    """Raise `InputError` if no video has a folder of results, or the scores cannot be written.

    Single missing folders are reported as failures.
    """
    results = args.results
    if not any(is_folder(results / video.name) for video in videos):
        raise InputError(
            f"{results}: holds no results of the {len(videos)} sequences; "
            f"expected {results / videos[0].name}/<frame>.png and so on"
        )
    if args.json is not None:
        require_output(args.json)


def print_worst(
    worst: Sequence[tuple[str, str, float]],
    column: str,
    videos: Sequence[Video],
    report: ScoringResult,
    args: argparse.Namespace,
) -> None:
    """Print the worst objects, and draw them into ``--draw-worst``."""
    from aotlab.engine.benchmark.object_strips import write_strip

    by_name = {video.name: video for video in videos}
    if worst:
        print(f"\nworst {column}:")
    for rank, (name, item, value) in enumerate(worst, start=1):
        drawn = ""
        if args.draw_worst is not None:
            path, scores = args.draw_worst / f"{rank:02d}_{name}_{item}.jpg", report.scores[name]
            object_id = scores.ids[scores.object_names.index(item)]
            write_strip(path, by_name[name], args.results, scores=scores, object_id=object_id)
            drawn = f"  {path}"
        print(f"{rank:4}  {value:5.1f}  {name}  {item}{drawn}")


@command
def main(argv: list[str] | None = None) -> int:
    """Score; return 0, or 1 if a sequence could not be scored."""
    args = parse(argv)
    require_extra("score")
    for path in (args.json, args.draw_worst):
        require_new_output(path, force=args.force)
    if args.annotations is not None:
        return score_masks([select_one_video(args)], args)
    if find_dataset(args.dataset)[1].hota:
        return score_hota(args)
    every = open_dataset(args.dataset, args.root, args.split, new_objects=args.new_objects)
    if describe_submission(args.dataset, args.root, args.split, args.results) is None:
        require_paths(args.results)
    return score_masks(select_scorable(select_videos(every, args.sequence), args), args)


if __name__ == "__main__":
    sys.exit(main())
