"""Pack results for a benchmark's server or scoring tool.

aotlab submit --dataset youtubevos2019 --results results/youtubevos2019 --output youtubevos2019.zip
"""

from __future__ import annotations

from pathlib import Path

import click

from aotlab.dataloaders.labeled_video import require_readable
from aotlab.evaluation.benchmarks import find_benchmark
from aotlab.tools.cli.command import command, option_group, require_new_output
from aotlab.tools.cli.options import BenchmarkOptions, dataset_option, force_file, plugin_files, root
from aotlab.tools.cli.types import ExistingFolder, option
from aotlab.utils.errors import require
from aotlab.utils.text import format_count


def choose_benchmark(dataset: str, root: Path | None, split: str | None) -> BenchmarkOptions:
    """Return the benchmark to submit to, by default the split that its server scores."""
    return BenchmarkOptions(dataset, root, split or (*find_benchmark(dataset).server_splits, "val")[0])


@command("aotlab submit")
@option_group(
    "benchmark",
    dataset_option(required=True),
    plugin_files,
    root,
    option("--split", metavar="NAME", help="train, val, test, ... (default: the one the server scores)"),
    name="benchmark",
    factory=choose_benchmark,
)
@option("--results", type=ExistingFolder, required=True, help="folder with <sequence>/<frame>.png")
@option("--output", type=click.Path(path_type=Path), required=True, help="archive or folder to write")
@force_file
def main(benchmark: BenchmarkOptions, *, results: Path, output: Path, force: bool) -> int:
    from aotlab.evaluation.archive import SubmittedResults

    data, split = benchmark.benchmark, benchmark.split
    problem = f"results of {data.name} are not submitted"
    require(data.submission_suffix is not None, problem, subject="--dataset", remedy="see its page")
    require_new_output(output, *filter(None, [data.submission_suffix]), force=force)
    videos = benchmark.open_videos()
    require_readable(videos)  # a server takes all sequences or none
    masks = data.write_submission(SubmittedResults(results, videos, benchmark.root or data.find_root(), split), output)
    sequences = format_count(len(videos), "sequence")
    print(f"{output}: {format_count(masks, 'mask')} of {sequences} of {data.name} {split}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
