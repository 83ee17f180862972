"""Papers' tables: models, benchmarks, published figures and required files."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field, model_validator
from typing_extensions import Self

from aotlab.configs.files import BUNDLED, ROOT, resolve_path
from aotlab.configs.load import build_config, parse_yaml
from aotlab.configs.settings import Settings, Text
from aotlab.dataloaders.archives import Archive
from aotlab.evaluation.benchmarks import find_benchmark
from aotlab.evaluation.tables import find_best, format_value
from aotlab.networks.weights.published import list_published_weights
from aotlab.networks.weights.zoo import ZOO_URL, find_published_file
from aotlab.utils.errors import InputError, require, require_choice, suggest
from aotlab.utils.files import read_text
from aotlab.utils.tables import TableFormat, format_rows
from aotlab.utils.text import format_bytes

TABLES = ROOT / "configs" / "tables"
"""Folder of the papers' tables, one YAML file each."""


class TableBenchmark(Settings):
    """A benchmark and split."""

    dataset: Text
    split: Text = "val"
    root: Text | None = None
    archive: bool = False
    """``root`` is the folder of the whole data set, as its archive unpacks; otherwise of other videos."""
    options: list[Text] = Field(default_factory=list)
    """Options of aotlab eval."""

    @property
    def folder(self) -> Path:
        """Folder of the data set."""
        return Path(self.root) if self.root else find_benchmark(self.dataset).find_root()

    @property
    def is_whole(self) -> bool:
        """The folder is that of the whole data set."""
        return self.archive or not self.root

    def find_archive(self) -> Archive | None:
        """Return the download that makes the folder; None: there is none, or it lacks the split."""
        archive = find_benchmark(self.dataset).archive if self.is_whole else None
        return archive if archive and self.split in archive.frames else None

    @property
    def arguments(self) -> tuple[str, ...]:
        """Arguments that select its videos, for aotlab eval and aotlab submit."""
        root = ("--root", self.root) if self.root else ()
        return ("--dataset", self.dataset, *root, "--split", self.split)


class TableModel(Settings):
    """A checkpoint, or an ensemble of several."""

    checkpoints: list[Text]
    """Names in `aotlab weights`, file names in pretrain_models/ or of published weights, or paths."""
    configs: list[Text] = Field(default_factory=list)
    """Preset of each checkpoint; empty for files that hold their settings."""
    options: list[Text] = Field(default_factory=list)
    """Options of aotlab eval."""
    train: list[Text] = Field(default_factory=list)
    """Further arguments of aotlab train that make the checkpoint; empty if it is not trained here."""

    @property
    def files(self) -> list[Path]:
        """Paths of the checkpoints."""
        published = {name: entry.file for name, entry in list_published_weights().items()}
        is_path = {name: "/" in name or name == BUNDLED for name in self.checkpoints}
        return [
            resolve_path(name) if is_path[name] else find_published_file(published.get(name, name))
            for name in self.checkpoints
        ]

    @property
    def arguments(self) -> list[str]:
        """Arguments that select it, for aotlab eval."""
        files = [f"--checkpoint={file}" for file in self.files]
        return [*files, *(f"--config={name}" for name in self.configs), *self.options]


class TableRow(Settings, extra="allow"):
    """A model on a benchmark; the other keys are sources with their published figures."""

    __pydantic_extra__: dict[str, list[float | None]]
    model: Text
    benchmark: Text

    @property
    def published(self) -> dict[str, list[float | None]]:
        """Figures of all columns by source."""
        return self.__pydantic_extra__


class PaperTable(Settings):
    """A table of a paper."""

    name: Text
    title: Text
    columns: dict[Text, Text]
    """Name in scores.json by heading."""
    benchmarks: dict[Text, TableBenchmark]
    models: dict[Text, TableModel]
    rows: list[TableRow]
    sources: dict[Text, Text] = Field(default_factory=dict)
    """Description of each source of figures."""
    train: list[Text] = Field(default_factory=list)
    """Arguments of aotlab train for all models that have further ones."""
    get: Text = ""
    """Source of checkpoints that are not published weights."""
    note: Text = ""
    """Notes on the comparison."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        """Check all names, and the number of figures of each row."""
        datasets = dict.fromkeys(benchmark.dataset for benchmark in self.benchmarks.values())
        names = dict.fromkeys(name for dataset in datasets for name in find_benchmark(dataset).list_score_names())
        for column in self.columns.values():
            require_choice(column, names, "column")
        for row in self.rows:
            require_choice(row.model, self.models, "model")
            require_choice(row.benchmark, self.benchmarks, "benchmark")
            for source, values in row.published.items():
                require_choice(source, self.sources, "source")
                subject, count = f"{row.model}, {row.benchmark}, {source}", len(self.columns)
                require(
                    len(values) == count,
                    f"{len(values)} figures",
                    subject=subject,
                    remedy=f"expected {count}, one for each column",
                )
        return self


def load_table(table: str | Path) -> PaperTable:
    """Read a table by its name in `TABLES` or from a YAML file."""
    table_path = TABLES / f"{table}.yaml"
    path = table_path if table_path.is_file() else Path(table)
    names = sorted(file.stem for file in TABLES.glob("*.yaml"))
    remedy = suggest(str(table), [*names, *list_published_weights()], f"the tables are {', '.join(names)}")
    tree = {"name": path.stem, **parse_yaml(read_text(path, remedy), str(path))}
    return build_config(tree, str(path), PaperTable)


def select_weights(name: str, dataset: str) -> PaperTable:
    """Return the rows of the papers' tables of published weights on a data set, on splits that can be scored locally.

    Args:
        name: key of `list_published_weights`.
        dataset: name of a benchmark.
    """
    file, tables = find_published_file(list_published_weights()[name].file), dict[str, PaperTable]()
    for path in sorted(TABLES.glob("*.yaml")):
        table = load_table(path)
        rows = [(table.benchmarks[row.benchmark], row) for row in table.rows if table.models[row.model].files == [file]]
        for other in dict.fromkeys(benchmark.dataset for benchmark, _ in rows):
            hidden_splits = find_benchmark(other).server_splits
            public = [row for bench, row in rows if bench.dataset == other and bench.split not in hidden_splits]
            tables.setdefault(other, table.replace(name=f"{name}_{other}", rows=public))
    measurable = [other for other, table in tables.items() if table.rows]
    if dataset in measurable:
        return tables[dataset]
    hidden = f"; the masks of {dataset} are not public" if dataset in tables else ""
    remedy = f"its figures are on {', '.join(tables)}, whose masks are not public"
    if measurable:
        remedy = f"give --dataset {' or '.join(measurable)}"
    raise InputError(f"no published figure on {dataset} that can be measured{hidden}", subject=name, remedy=remedy)


def replace_root(table: PaperTable, root: Path) -> PaperTable:
    """Return the table with another folder for its data sets, except for those with a root in the table.

    If all have a root in the table, all are replaced.

    Raises:
        InputError: the data sets are in several folders, by `Benchmark.folder`.
    """
    used = {row.benchmark: table.benchmarks[row.benchmark] for row in table.rows}
    moved = {name: benchmark for name, benchmark in used.items() if not benchmark.root} or used
    names = sorted({benchmark.dataset for benchmark in moved.values()})
    folders = {find_benchmark(name).folder for name in names}
    problem = f"the table has {', '.join(names)}, which are not in one folder"
    require(len(folders) == 1, problem, subject="--root", remedy="set AOTLAB_DATA to the folder above")
    replaced = {name: item.replace(root=str(root), archive=item.is_whole) for name, item in moved.items()}
    return table.replace(benchmarks=table.benchmarks | replaced)


def name_results(model: str, benchmark: str) -> str:
    """Return the name of the folder of a model's results on a benchmark."""
    return re.sub(r"(?:[^\w.]|_)+", "_", f"{model}_{benchmark}").strip("_")


def list_missing(table: PaperTable, row: TableRow) -> list[str]:
    """Return a sentence per missing requirement of a row, with the command that makes it if there is one."""
    benchmark, sentences = table.benchmarks[row.benchmark], []
    if not benchmark.folder.is_dir():
        dataset, archive = find_benchmark(benchmark.dataset), benchmark.find_archive()
        here = f"{format_bytes(archive.size)} with --download, or " if archive else ""
        source = f"{benchmark.dataset}, {here}from {dataset.source}" if benchmark.is_whole else "no such folder"
        source += f"; layout: {dataset.layout}"
        sentences.append(f"{_shorten_path(benchmark.folder)}: {source}")
    model = table.models[row.model]
    downloads = {
        entry.file: f"about {format_bytes(round(4e6 * entry.parameters))} with aotlab weights get {name}, "
        f"or from {ZOO_URL}"
        for name, entry in list_published_weights().items()
    }
    for file in dict.fromkeys(model.files):
        if not file.is_file():
            source = downloads.get(file.name) or table.get or "no such file"
            if model.train:
                arguments = [*table.train, *model.train, f"train.output={_shorten_path(file.parent)}"]
                source = shlex.join(["aotlab", "train", *arguments])
            sentences.append(f"{_shorten_path(file)}: {source}")
    return sentences


def compare_figures(table: PaperTable, row: TableRow, figures: Sequence[float | None]) -> list[float | None]:
    """Return measured minus published figures by the last source of a row, which is that of its files; None: no scores.

    Speed is not compared.
    """
    published = list(row.published.values())[-1] if row.published else [None] * len(figures)
    return [
        None if ours is None or theirs is None or key == "fps" else ours - theirs
        for ours, theirs, key in zip(figures, published, table.columns.values(), strict=True)
    ]


def list_deviations(
    table: PaperTable, results: Sequence[Sequence[float | None] | str], tolerance: float
) -> dict[str, str]:
    """Return a sentence by the names of each row whose scores differ from the published ones by more than that."""
    found = {}
    for row, result in zip(table.rows, results, strict=True):
        differences = [] if isinstance(result, str) else compare_figures(table, row, result)
        if any(value is not None and abs(value) > tolerance for value in differences):
            text = " / ".join("-" if value is None else f"{value:+.2f}" for value in differences)
            found[f"{row.model}, {row.benchmark}"] = f"differs by {text} points, more than {tolerance:g}"
    return found


def format_table(
    table: PaperTable, results: Sequence[Sequence[float | None] | str], style: TableFormat = "text"
) -> str:
    """Format measured figures, or why they are missing, above the published ones; the best of a benchmark is bold."""
    rows, best, names = [["model", "benchmark", "figures", *table.columns]], set(), [*table.columns.values()]
    measured = dict[str, list[tuple[int, Sequence[float | None]]]]()
    for row, result in zip(table.rows, results, strict=True):
        title = [row.model, row.benchmark]
        if isinstance(result, str):
            rows.append([*title, result, *[""] * len(names)])
        else:
            measured.setdefault(row.benchmark, []).append((len(rows), result))
            rows.append([*title, "measured", *map(format_value, result)])
        rows += [[*title, source, *map(format_value, figures)] for source, figures in row.published.items()]
        if row.published and not isinstance(result, str):
            differences = compare_figures(table, row, result)
            rows.append([*title, "difference", *("" if value is None else f"{value:+.1f}" for value in differences)])
    for name, lines in measured.items():
        benchmark = find_benchmark(table.benchmarks[name].dataset)
        found = find_best(benchmark, [figures for _, figures in lines], names)
        best |= {(lines[index][0], 3 + column) for index, column in found}
    return format_rows(rows, style, best=best, right=3)


def list_notes(table: PaperTable) -> list[str]:
    """Return the table's title, the descriptions of its sources, and its note."""
    cited = [f"{key}: {text}" for key, text in table.sources.items() if any(key in row.published for row in table.rows)]
    return [table.title, *cited, *filter(None, [table.note])]


def _shorten_path(path: Path) -> str:
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)
