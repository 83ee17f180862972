"""Run those rows of a paper's table whose data and models are available, and compare with the published figures.

aotlab table aot_davis2017 --device cuda
aotlab table r50_aotl --dry-run                      # what it needs, and how long it takes
aotlab table r50_aotl --download --tolerance 0.2     # the rows of a published checkpoint
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click import UsageError

from aotlab.evaluation.benchmarks import find_benchmark
from aotlab.networks.weights.published import list_published_weights
from aotlab.networks.weights.zoo import download_weights
from aotlab.tools.cli.command import command, report_failures
from aotlab.tools.cli.options import dataset_option, device, force_results, format_option, plugin_files
from aotlab.tools.cli.processes import run_tool
from aotlab.tools.cli.types import Folder, PositiveInt, flag, number_type, option
from aotlab.utils.files import require_writable, write_text
from aotlab.utils.numbers import NON_NEGATIVE

if TYPE_CHECKING:
    from aotlab.benchmark.paper_tables import PaperTable, TableRow
    from aotlab.utils.tables import TableFormat


def run_row(
    table: PaperTable, row: TableRow, output: Path, *, device: str, ranks: int, force: bool
) -> list[float | None] | str:
    """Run a row and return our figures, or the archive for the benchmark's server; raise if a command fails."""
    from aotlab.benchmark.paper_tables import name_results

    model, benchmark = table.models[row.model], table.benchmarks[row.benchmark]
    results = output / name_results(row.model, row.benchmark)
    options = (*benchmark.arguments, *benchmark.options, *model.arguments, *["--force"] * force)
    run_tool("eval", *options, "--device", device, "--output", str(results), ranks=ranks)
    data = find_benchmark(benchmark.dataset)
    if benchmark.split in data.server_splits:
        archive = data.name_submission(results)
        run_tool("submit", *benchmark.arguments, "--results", str(results), "--output", str(archive), "--force")
        return f"server: {archive}"
    scores = json.loads((results / "scores.json").read_text(encoding="utf-8"))
    return [scores.get(key) for key in table.columns.values()]


@command(
    "aotlab table",
    epilog="Data sets are read from datasets/, or from the folder in the environment variable AOTLAB_DATA.",
)
@click.argument(
    "name",
    metavar="TABLE",
    help="name of a table, for example aot_davis2017; a YAML file; or a name in `aotlab weights`, for its rows",
)
@dataset_option(help="with a name in `aotlab weights` (default: davis2017): ")
@option("--root", type=Folder, help="folder of the table's data sets (default: in $AOTLAB_DATA or ./datasets)")
@plugin_files
@device
@option("--ranks", type=PositiveInt, default=1, help="processes that share the videos")
@option("--output", type=Folder, default=Path("results/tables"), help="folder for the results")
@format_option
@force_results
@flag("--dry-run", "only list what is missing, the size of downloads, and the time")
@flag("--download", "download missing data sets, of which davis2017 has one file")
@option("--tolerance", type=number_type(NON_NEGATIVE), help="points; exit code 1 if a published score differs by more")
def main(
    name: str, *, dataset: str | None, root: Path | None, device: str, ranks: int, output: Path, style: TableFormat,
    force: bool, dry_run: bool, download: bool, tolerance: float | None,
) -> int:  # fmt: skip
    from aotlab.benchmark.paper_tables import (
        format_table,
        list_deviations,
        list_missing,
        list_notes,
        load_table,
        replace_root,
        select_weights,
    )
    from aotlab.dataloaders.archives import download_dataset

    is_published = name in list_published_weights()
    if dataset and not is_published:
        raise UsageError("--dataset: applies to a name in `aotlab weights`; remove it")
    table = select_weights(name, dataset or "davis2017") if is_published else load_table(name)
    if root is not None:
        table = replace_root(table, root)
    if dry_run:
        from aotlab.benchmark.dry_run import forecast_table

        print(forecast_table(table, device))
        return 0
    results = require_writable(output / table.name)
    for benchmark in {row.benchmark: table.benchmarks[row.benchmark] for row in table.rows}.values():
        archive = benchmark.find_archive()
        if download and archive and not benchmark.folder.is_dir():
            download_dataset(archive, benchmark.folder)
    if is_published and any(table.benchmarks[row.benchmark].folder.is_dir() for row in table.rows):
        download_weights(name)
    figures, missing, status = list[list[float | None] | str](), dict[str, None](), 0
    for row in table.rows:
        row_missing = list_missing(table, row)
        missing |= dict.fromkeys(row_missing)
        if row_missing:
            status = 1
            figures.append("missing")
            continue
        try:
            figures.append(run_row(table, row, results, device=device, ranks=ranks, force=force))
        except subprocess.CalledProcessError as error:
            status = 1
            figures.append(f"failed: exit code {error.returncode}")
    notes = "\n".join([*list_notes(table), *["missing:"] * bool(missing), *(f"- {line}" for line in missing)])
    print(format_table(table, figures, style))
    print(f"\n{notes}", file=sys.stdout if style == "text" else sys.stderr)
    write_text(results.with_name(f"{results.name}.md"), f"{format_table(table, figures, 'markdown')}\n\n{notes}\n")
    return report_failures({} if tolerance is None else list_deviations(table, figures, tolerance)) or status


if __name__ == "__main__":
    raise SystemExit(main())
