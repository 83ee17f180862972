"""Pack results for a benchmark's server or scoring tool.

aotlab submit --dataset youtubevos2019 --results results/youtubevos2019 --output youtubevos2019.zip
"""

from __future__ import annotations

from pathlib import Path

import click

from aotlab.dataloaders.labeled_video import require_readable
from aotlab.evaluation.benchmarks import find_benchmark
from aotlab.tools.cli.command import command, option_group, require_new_output
from aotlab.tools.cli.options import dataset_option, force_file, plugin_files, root
from aotlab.tools.cli.types import ExistingFolder, option
from aotlab.utils.errors import require
from aotlab.utils.text import format_count


@command("aotlab submit")
@option_group(
    "benchmark",
    dataset_option(required=True),
    plugin_files,
    root,
    option("--split", metavar="NAME", help="train, val, test, ... (default: the one the server scores)"),
)
@option("--results", type=ExistingFolder, required=True, help="folder with <sequence>/<frame>.png")
@option("--output", type=click.Path(path_type=Path), required=True, help="archive or folder to write")
@force_file
def main(*, dataset: str, root: Path | None, split: str | None, results: Path, output: Path, force: bool) -> int:
    from aotlab.evaluation.archive import SubmittedResults

    benchmark = find_benchmark(dataset)
    split = split or (*benchmark.server_splits, "val")[0]
    problem = f"results of {benchmark.name} are not submitted"
    require(benchmark.submission_suffix is not None, problem, subject="--dataset", remedy="see its page")
    require_new_output(output, *filter(None, [benchmark.submission_suffix]), force=force)
    videos = benchmark.open_videos(root, split)
    require_readable(videos)  # a server takes all sequences or none
    submitted = SubmittedResults(results, videos, root or benchmark.find_root(), split)
    masks = benchmark.write_submission(submitted, output)
    sequences = format_count(len(videos), "sequence")
    print(f"{output}: {format_count(masks, 'mask')} of {sequences} of {benchmark.name} {split}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
