"""Run those rows of a paper's table whose data and models are available, and compare with the published figures.

aotlab table aot_davis2017 --device cuda
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import click

from aotlab.engine.benchmark.paper_tables import (
    Benchmark,
    PaperTable,
    TableModel,
    TableRow,
    format_figures,
    format_table,
    list_missing,
    load_table,
    name_results,
)
from aotlab.tools.cli.command import command
from aotlab.tools.cli.options import device
from aotlab.tools.cli.types import Folder, PositiveInt, option
from aotlab.utils.errors import RunStopped
from aotlab.utils.files import require_writable, write_text


@dataclass
class TableRunner:
    """Runs the commands of a table, each once."""

    table: PaperTable
    output: Path
    device: str
    ranks: int
    failed: bool = False
    finished: dict[tuple[str, ...], Path] = field(default_factory=dict)
    """Results by the arguments of the command."""

    def run_row(self, row: TableRow) -> str:
        """Return our figures for a row, or the reason for missing ones."""
        benchmark = self.table.benchmarks[row.benchmark]
        try:
            results = self.run_model(row.model, row.benchmark)
            if benchmark.has_server:
                archive = results.with_name(f"{results.name}.zip")
                files = ("--results", str(results), "--output", str(archive))
                self.run_tool("submit", *list_benchmark_options(benchmark), *files, "--force")
                return f"server: {archive}"
        except subprocess.CalledProcessError as error:
            self.failed = True
            return f"failed: exit code {error.returncode}"
        scores = json.loads((results / "scores.json").read_text(encoding="utf-8"))
        return format_figures([scores.get(key) for key in self.table.columns.values()])

    def run_model(self, name: str, benchmark_name: str) -> Path:
        """Return the folder of a model's results on a benchmark; run the command unless it ran before."""
        model, benchmark = self.table.models[name], self.table.benchmarks[benchmark_name]
        output = self.output / name_results(name, benchmark_name)
        if model.vote:
            parts = [str(self.run_model(member, benchmark_name)) for member in model.vote]
            weights = ["--weights", ",".join(model.weights)] if model.weights else []
            self.run_tool("ensemble", *parts, "--output", str(output), *weights, "--force")
            if not benchmark.has_server:
                new_objects = [option for option in benchmark.options if option == "--new-objects"]
                files = ("--results", str(output), "--json", str(output / "scores.json"))
                self.run_tool("score", *list_benchmark_options(benchmark), *new_objects, *files, "--force")
            return output
        data = (*list_benchmark_options(benchmark), *benchmark.options)
        arguments = (*data, *list_model_options(model), *model.options)
        if arguments not in self.finished:
            run_options = ("--device", self.device, "--force", "--output", str(output))
            self.run_tool("eval", *arguments, *run_options, ranks=self.ranks)
            self.finished[arguments] = output
        return self.finished[arguments]

    def run_tool(self, tool: str, *arguments: str, ranks: int = 1) -> None:
        """Print and run a command in separate processes: several ranks need them, and a crash costs one row."""
        launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks), "-m"]
        line = [sys.executable, "-m", *(launcher if ranks > 1 else []), "aotlab", tool, *arguments]
        print(f"$ python {' '.join(line[1:])}", file=sys.stderr, flush=True)
        status = subprocess.run(line, stdout=sys.stderr, check=False).returncode
        if status < 0 or status > 128:
            raise RunStopped(f"{tool} was interrupted; the same command resumes")
        if status:
            raise subprocess.CalledProcessError(status, line)


def list_benchmark_options(benchmark: Benchmark) -> tuple[str, ...]:
    """Return the options of a benchmark."""
    root = ("--root", benchmark.root) if benchmark.root else ()
    return ("--dataset", benchmark.dataset, *root, "--split", benchmark.split)


def list_model_options(model: TableModel) -> tuple[str, ...]:
    """Return the options of a model."""
    files = (option for file in model.files for option in ("--checkpoint", str(file)))
    presets = (option for name in model.configs for option in ("--config", name))
    return (*files, *presets, *(("--weights", ",".join(model.weights)) if model.weights else ()))


@command(
    "aotlab table",
    epilog="Data sets are read from datasets/, or from the folder in the environment variable AOTLAB_DATA.",
)
@click.argument("name", metavar="TABLE", help="name of a table, for example aot_davis2017, or a YAML file")
@device
@option("--ranks", type=PositiveInt, default=1, help="processes that share the videos")
@option("--output", type=Folder, default=Path("results/tables"), help="folder for the results")
def main(name: str, *, device: str, ranks: int, output: Path) -> int:
    """Run a table of a paper and compare."""
    table = load_table(name)
    results = require_writable(output / table.name)
    runner = TableRunner(table, results, device, ranks)
    figures, missing = [], dict[str, None]()
    for row in table.rows:
        row_missing = list_missing(table, row)
        missing |= dict.fromkeys(row_missing)
        figures.append("missing" if row_missing else runner.run_row(row))
    text = format_table(table, figures)
    if missing:
        text += "\n\nmissing:\n" + "\n".join(f"- {line}" for line in missing)
    print(text)
    write_text(results.with_name(f"{results.name}.md"), text + "\n")
    return 1 if runner.failed or set(figures) == {"missing"} else 0


if __name__ == "__main__":
    raise SystemExit(main())
