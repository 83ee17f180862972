"""Pack results for a benchmark's server, or check an archive.

aotlab submit --dataset youtubevos2019 --results results/youtubevos2019 --output youtubevos2019.zip
aotlab submit --dataset youtubevos2019 --check youtubevos2019.zip
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aotlab.dataloaders.benchmarks.datasets import DATASETS, DataSet, default_root, find_dataset, open_dataset
from aotlab.dataloaders.benchmarks.sequences import Video, require_whole
from aotlab.tools.cli.options import add_dataset_options, add_force_option
from aotlab.tools.cli.paths import require_new, require_paths
from aotlab.tools.cli.program import Parser, command
from aotlab.utils.errors import InputError
from aotlab.utils.extras import require_extra
from aotlab.utils.files import require_output, require_writable

if TYPE_CHECKING:
    from aotlab.evaluation.submission import Expected


@command
def main(argv: list[str] | None = None) -> int:
    """Write or check an archive; return 0."""
    args = parse(argv)
    name, dataset = find_dataset(args.dataset)
    require_new(args.output, force=args.force)
    if dataset.hota:
        return write_json(name, args)
    if dataset.polygons:
        return write_polygons(name, args)
    if dataset.object_tree:
        return write_tree(name, args)
    folder = archive_folder(name, dataset)
    require_paths(args.results, args.check)
    require_extra("score")
    from aotlab.evaluation.submission import check_archive, check_results, write_archive

    split = args.split or next(iter(dataset.server))
    videos = open_dataset(name, args.root, split)
    require_whole(videos)  # a server takes all sequences or none
    wanted = [expected_of(video) for video in videos]
    if args.check is None:
        require_output(args.output)
        report(check_results(args.results, wanted), args.results)
        write_archive(args.output, args.results, wanted, folder)
    archive = args.output if args.check is None else args.check
    report(check_archive(archive, wanted, folder), archive)
    frames = sum(len(item.frames) for item in wanted)
    print(f"{archive}: {frames} masks of {len(wanted)} sequences of {name} {split}, all as wanted")
    if split in dataset.server:
        print(f"scored by {dataset.server[split]}")
    return 0


def open_unarchived(name: str, args: argparse.Namespace, kind: str) -> tuple[str, Sequence[Video]]:
    """Return split and videos of a benchmark whose server takes ``kind`` instead of an archive."""
    if args.check is not None:
        raise InputError(f"--check: {name} takes {kind}; score the results with aotlab score")
    require_paths(args.results)
    require_extra("score")
    split = args.split or "val"
    videos = open_dataset(name, args.root, split)
    require_whole(videos)
    return split, videos


def write_json(name: str, args: argparse.Namespace) -> int:
    """Write BURST's JSON file of predictions; return 0."""
    require_output(args.output)
    split, videos = open_unarchived(name, args, "a JSON file")
    from aotlab.dataloaders.benchmarks.burst import annotation_file, write_predictions

    root = args.root if args.root is not None else default_root(name)
    names = [video.name for video in videos]
    masks = write_predictions(args.output, annotation_file(root, split), args.results, names)
    print(f"{args.output}: {masks} masks of {len(names)} sequences of {name} {split}")
    return 0


def write_polygons(name: str, args: argparse.Namespace) -> int:
    """Write the ZIP with VISOR's JSON file of polygons; return 0."""
    split, videos = open_unarchived(name, args, "a JSON file of polygons")
    from aotlab.dataloaders.benchmarks.visor import write_submission

    root = args.root if args.root is not None else default_root(name)
    require_writable(args.output.parent)
    sequences = {video.name: video.results for video in videos}
    names = root / f"{split.removesuffix('_unseen')}_data_mapping.json"
    masks = write_submission(args.output, args.results, sequences, names, split)
    print(f"{args.output}: {masks} masks of {len(videos)} sequences of {name} {split}")
    return 0


def write_tree(name: str, args: argparse.Namespace) -> int:
    """Write the folders of objects that SA-V's evaluator reads; return 0."""
    split, videos = open_unarchived(name, args, "folders of objects")
    from aotlab.evaluation.sav import write_object_results

    require_writable(args.output)
    masks = sum(
        write_object_results(args.output / video.name, args.results / video.name, video.object_folders)
        for video in videos
    )
    print(f"{args.output}: {masks} masks of {len(videos)} sequences of {name} {split}")
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = Parser("submit", description="Pack results for a benchmark's server, or check an archive.")
    able = [
        name
        for name, dataset in DATASETS.items()
        if dataset.archive is not None or dataset.hota or dataset.object_tree or dataset.polygons
    ]
    add_dataset_options(parser, able, split=None)
    parser.add_argument("--results", type=Path, metavar="DIR", help="folder with <sequence>/<frame>.png")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="archive to write; burst: a JSON file, sav: a folder"
    )
    parser.add_argument("--check", type=Path, metavar="FILE", help="check this archive and write nothing")
    add_force_option(parser)
    args = parser.parse_args(argv)
    if (args.check is None) != (args.results is not None and args.output is not None):
        parser.error("give --results DIR with --output FILE.zip, or --check FILE.zip")
    return args


def archive_folder(name: str, dataset: DataSet) -> str:
    """Return the folder around the sequences in a server's archive; raise `InputError` without one."""
    if dataset.archive is None:
        raise InputError(f"--dataset {name}: no server takes its masks; score them with aotlab score")
    return dataset.archive


def expected_of(video: Video) -> Expected:
    """Return the results that the server expects of a video; read its given masks."""
    import numpy as np

    from aotlab.evaluation.submission import Expected
    from aotlab.masks.id_maps import VOID, read_mask
    from aotlab.masks.object_masks import read_given

    given = [read_given(mask) for mask in video.masks.values()]
    ids = {item.object_id for item in video.objects}
    if not ids:
        ids = {int(object_id) for labels in given for object_id in np.unique(labels)} - {0, VOID}
    # results of DAVIS have the size of its 480p annotations, whatever that of the frames
    size = read_mask(video.annotations[0]).shape if video.annotations else given[0].shape
    return Expected(video.name, video.results, (size[0], size[1]), frozenset(ids))


def report(problems: Sequence[str], archive: Path) -> None:
    """Print problems on stderr; raise `InputError` if there are any."""
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        raise InputError(
            f"{archive}: {len(problems)} masks are missing, wrong or too many, listed above; correct them"
        )


if __name__ == "__main__":
    sys.exit(main(None))
