"""Pack results for a benchmark's server, or check an archive.

aotlab submit --dataset youtubevos2019 --results results/youtubevos2019 --output youtubevos2019.zip
aotlab submit --dataset youtubevos2019 --check youtubevos2019.zip
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from click import UsageError

from aotlab.dataloaders.benchmarks.datasets import DATASETS, find_dataset, find_default_root, open_dataset
from aotlab.dataloaders.benchmarks.sequences import require_readable
from aotlab.media.labeled_video import Video
from aotlab.tools.cli.command import command, group, require_new_output
from aotlab.tools.cli.options import overwrite, root
from aotlab.tools.cli.types import ExistingPath, File, option
from aotlab.utils.errors import InputError, require_extra
from aotlab.utils.text import format_count

log = logging.getLogger(__name__)

Writer = Callable[[Sequence[Video], Path, Path], int]
"""writes the results of videos from a folder to an output; returns the number of masks"""
OTHER_FORMATS: dict[str, tuple[str, tuple[str, ...]]] = {
    "sav": ("folders of objects", ()),
    "burst": ("a JSON file", (".json",)),
    "visor": ("a JSON file of polygons", (".zip",)),
}
"""what is submitted instead of an archive of masks, and its suffixes, by data set"""


def find_writer(name: str, root: Path, split: str) -> Writer:
    """Return the writer of submissions of the data set at ``root``."""
    if name == "sav":
        from aotlab.evaluation.submit.sav import write_object_folders

        return write_object_folders
    if name == "burst":
        from aotlab.evaluation.submit.burst import write_run_lengths
        from aotlab.media.burst import find_annotation_file

        return partial(write_run_lengths, annotations=find_annotation_file(root, split))
    if name == "visor":
        from aotlab.evaluation.submit.visor import write_polygons

        names = root / f"{split.removesuffix('_unseen')}_data_mapping.json"
        return partial(write_polygons, names=names, split=split)
    return partial(pack_archive, folder=DATASETS[name].archive_root or "")


def pack_archive(videos: Sequence[Video], results: Path, archive: Path, *, folder: str) -> int:
    """Check results and write them as an archive, below ``folder``; return the number of masks."""
    from aotlab.evaluation.submit.archive import check_results, expect_sequence, write_archive

    expected = [expect_sequence(video) for video in videos]
    require_valid(check_results(results, expected), results)
    write_archive(expected, results, archive, folder)
    return sum(len(item.frames) for item in expected)


def check_submission(videos: Sequence[Video], archive: Path, *, folder: str) -> int:
    """Check an archive with the sequences below ``folder``; return the number of masks."""
    from aotlab.evaluation.submit.archive import check_archive, expect_sequence

    expected = [expect_sequence(video) for video in videos]
    require_valid(check_archive(archive, expected, folder), archive)
    return sum(len(item.frames) for item in expected)


def require_valid(problems: Sequence[str], source: Path) -> None:
    """Raise `InputError` with the first problem and their number if there are any; ``--verbose`` prints all."""
    for problem in problems:
        log.debug("%s", problem)
    if problems:
        count = format_count(len(problems), "problem")
        raise InputError(f"{source}: {count}, which --verbose lists; the first: {problems[0]}")


SERVER_BENCHMARKS = [
    name for name, data in DATASETS.items() if data.archive_root is not None or name in OTHER_FORMATS
]
"""benchmarks with a server"""


@command("aotlab submit", "Pack results for a benchmark's server, or check an archive.")
@group(
    "benchmark",
    option("--dataset", metavar="NAME", required=True, help=f"one of {', '.join(SERVER_BENCHMARKS)}"),
    root,
    option("--split", metavar="NAME", help="train, val, test, ... (default: the one the server scores)"),
)
@option("--results", type=ExistingPath, help="folder with <sequence>/<frame>.png")
@option("--output", type=File, help="archive to write; burst: a JSON file, sav: a folder")
@option("--check", type=File, help="check this archive and write nothing")
@overwrite
def main(
    *,
    dataset: str,
    root: Path | None,
    split: str | None,
    results: Path | None,
    output: Path | None,
    check: Path | None,
    force: bool,
) -> int:
    """Write what a benchmark's server takes, or check an archive; return 0."""
    missing = [name for name, value in (("--results", results), ("--output", output)) if value is None]
    if check is None and missing:
        raise UsageError(f"missing: {' and '.join(missing)}, or an archive as --check")
    if check is not None and len(missing) < 2:
        raise UsageError("--check: reads an archive and writes nothing; remove --results and --output")
    data = find_dataset(dataset)
    name = data.name
    kind, suffixes = OTHER_FORMATS.get(name, (None, (".zip",)))
    require_new_output(output, *suffixes, force=force or not suffixes)  # a folder is never replaced
    if kind is not None and check is not None:
        raise UsageError(f"--check: {name} takes {kind}; score the results with aotlab score")
    if name not in SERVER_BENCHMARKS:
        raise UsageError(f"--dataset {name}: no server takes its masks; score them with aotlab score")
    require_extra("score")
    split = split or (*data.server_splits, "val")[0]
    videos = open_dataset(name, root, split)
    require_readable(videos)  # a server takes all sequences or none
    if results is not None and output is not None:
        masks = find_writer(name, root or find_default_root(name), split)(videos, results, output)
    elif check is not None:
        masks = check_submission(videos, check, folder=data.archive_root or "")
    valid = "" if kind else ", all valid"
    print(f"{check or output}: {masks} masks of {len(videos)} sequences of {name} {split}{valid}")
    if split in data.server_splits:
        print(f"scored by {data.server}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
