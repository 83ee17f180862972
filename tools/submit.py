"""Pack results for a benchmark's server.

aotlab submit --dataset youtubevos2019 --results results/youtubevos2019 --output youtubevos2019.zip
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import click

from aotlab.dataloaders.benchmarks.datasets import DATASETS, find_default_root, open_dataset
from aotlab.dataloaders.benchmarks.labeled_video import Video
from aotlab.dataloaders.benchmarks.sequences import require_readable
from aotlab.tools.cli.command import command, option_group, require_new_output
from aotlab.tools.cli.options import dataset_option, force_file, root
from aotlab.tools.cli.types import ExistingFolder, option
from aotlab.utils.errors import require_extra
from aotlab.utils.text import format_count

Writer = Callable[[Sequence[Video], Path, Path], int]
"""Function that packs the results of videos in a folder into an output; returns the number of masks."""
SUBMITTED = [name for name, dataset in DATASETS.items() if dataset.submission is not None]


def find_writer(name: str, root: Path, split: str) -> Writer:
    """Return the writer of submissions of the data set at ``root``."""
    if name == "sav":
        from aotlab.evaluation.sav import write_object_folders

        return write_object_folders
    if name == "burst":
        from aotlab.dataloaders.benchmarks.burst import find_annotation_file
        from aotlab.evaluation.submit.burst import write_run_lengths

        return partial(write_run_lengths, annotations=find_annotation_file(root, split))
    if name == "visor":
        from aotlab.evaluation.submit.visor import write_polygons

        names = root / f"{split.removesuffix('_unseen')}_data_mapping.json"
        return partial(write_polygons, names=names, split=split)
    from aotlab.evaluation.submit.archive import write_archive

    return partial(write_archive, folder=DATASETS[name].archive_root)


@command("aotlab submit")
@option_group(
    "benchmark",
    dataset_option(SUBMITTED, required=True),
    root,
    option("--split", metavar="NAME", help="train, val, test, ... (default: the one the server scores)"),
)
@option("--results", type=ExistingFolder, required=True, help="folder with <sequence>/<frame>.png")
@option(
    "--output", type=click.Path(path_type=Path), required=True, help="archive, JSON file or folder to write"
)
@force_file
def main(
    *, dataset: str, root: Path | None, split: str | None, results: Path, output: Path, force: bool
) -> int:
    """Pack results for a benchmark's server."""
    name, data = dataset, DATASETS[dataset]
    require_new_output(output, *filter(None, [data.submission]), force=force)
    require_extra("score")
    split = split or (*data.server_splits, "val")[0]
    videos = open_dataset(name, root, split)
    require_readable(videos)  # a server takes all sequences or none
    masks = find_writer(name, root or find_default_root(name), split)(videos, results, output)
    sequences = format_count(len(videos), "sequence")
    print(f"{output}: {format_count(masks, 'mask')} of {sequences} of {name} {split}")
    if split in data.server_splits:
        print(f"scored by the server linked from {data.source}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
