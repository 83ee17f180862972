"""Pack results for a benchmark's server or scoring tool.

aotlab submit --dataset youtubevos2019 --results results/youtubevos2019 --output youtubevos2019.zip
"""

from __future__ import annotations

from pathlib import Path

import click

from aotlab.dataloaders.benchmarks.datasets import DATASETS, find_default_root
from aotlab.dataloaders.benchmarks.labeled_video import require_readable
from aotlab.tools.cli.command import command, option_group, require_new_output
from aotlab.tools.cli.options import BenchmarkOptions, dataset_option, force_file, root
from aotlab.tools.cli.types import ExistingFolder, option
from aotlab.utils.text import format_count

FORMATS = {name: dataset.submission for name, dataset in DATASETS.items() if dataset.submission is not None}
"""Name of the format by data set."""


def choose_benchmark(dataset: str, root: Path | None, split: str | None) -> BenchmarkOptions:
    """Return the benchmark to submit to, by default the split that its server scores."""
    return BenchmarkOptions(dataset, root, split or (*DATASETS[dataset].server_splits, "val")[0])


@command("aotlab submit")
@option_group(
    "benchmark",
    dataset_option(FORMATS, required=True),
    root,
    option("--split", metavar="NAME", help="train, val, test, ... (default: the one the server scores)"),
    name="benchmark",
    factory=choose_benchmark,
)
@option("--results", type=ExistingFolder, required=True, help="folder with <sequence>/<frame>.png")
@option("--output", type=click.Path(path_type=Path), required=True, help="archive or folder to write")
@force_file
def main(benchmark: BenchmarkOptions, *, results: Path, output: Path, force: bool) -> int:
    from aotlab.evaluation.submit import SUBMISSION_FORMATS
    from aotlab.evaluation.submit.results import SubmittedResults

    dataset, split = benchmark.dataset, benchmark.split
    suffix, write = SUBMISSION_FORMATS[FORMATS[dataset]]
    require_new_output(output, *filter(None, [suffix]), force=force)
    videos = benchmark.open_videos()
    require_readable(videos)  # a server takes all sequences or none
    masks = write(SubmittedResults(results, videos, benchmark.root or find_default_root(dataset), split), output)
    sequences = format_count(len(videos), "sequence")
    print(f"{output}: {format_count(masks, 'mask')} of {sequences} of {dataset} {split}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
