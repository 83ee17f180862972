"""Sweeps: training and evaluation for each combination of values of settings, and the table of their scores."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from aotlab.configs.load import load_config
from aotlab.evaluation.benchmark import Benchmark
from aotlab.evaluation.results import SCORES_FILE
from aotlab.evaluation.tables import find_best, format_value
from aotlab.utils.errors import require
from aotlab.utils.files import reading
from aotlab.utils.tables import TableFormat, format_rows

SEED = "train.seed"
"""Setting whose values are runs of one row of the table."""
TOP_LEVEL_COMMA = re.compile(r",(?![^\[{]*[\]}])")
"""Comma between values, not within ``[…]`` or ``{…}``."""


@dataclass(frozen=True)
class SweepRun:
    """Values of settings, and the folder of their results."""

    values: Mapping[str, str]
    """Value by setting."""
    folder: Path
    checkpoint: Path | None
    """Weights that training writes; None: nothing is trained."""

    @property
    def overrides(self) -> list[str]:
        """Settings as ``key=value``."""
        return [f"{key}={value}" for key, value in self.values.items()]

    @property
    def results(self) -> Path:
        """Folder of the evaluation."""
        return self.folder / "eval"

    def read_scores(self) -> dict[str, float | None]:
        """Return the scores over all sequences, except the speed; empty before they are evaluated."""
        path = self.results / SCORES_FILE
        if not path.is_file():
            return {}
        with reading(path, "evaluate it again", json.JSONDecodeError, AttributeError):
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return {
                key: value for key, value in content.items() if key != "fps" and isinstance(value, float | int | None)
            }


def list_runs(config: str | None, settings: Sequence[str], output: Path) -> list[SweepRun]:
    """Return a run for each combination of values, the last setting varying first.

    Args:
        config: recipe to train, or preset or file of settings to evaluate; None: nothing is trained.
        settings: ``key=value,value,…``.
        output: folder with a folder for each run, named by the settings that have several values.

    Raises:
        InputError: the settings cannot be used, or two runs have the same folder.
    """
    choices = {key: TOP_LEVEL_COMMA.split(text) for key, _, text in (item.partition("=") for item in settings)}
    runs = []
    for combination in product(*choices.values()):
        values = dict(zip(choices, combination, strict=True))
        overrides = [f"{key}={value}" for key, value in values.items()]
        training = load_config(config or "aott", overrides).train
        names = [f"{key}={value}" for key, value in values.items() if len(choices[key]) > 1]
        folder = output / (re.sub(r"[^\w.,=+-]", "_", ",".join(names)) or "run")
        trained = (training.run or [phase.name for phase in training.phases])[-1:]
        checkpoint = folder / "train" / f"{trained[0]}.safetensors" if config and trained else None
        runs.append(SweepRun(values, folder, checkpoint))
    is_distinct = len({run.folder for run in runs}) == len(runs)
    require(is_distinct, "two runs have the same folder", subject=output, remedy="give each value once")
    return runs


def tabulate_runs(benchmark: Benchmark, runs: Sequence[SweepRun], style: TableFormat = "text") -> str:
    """Return a table of the scores: a row for each combination, with mean and standard deviation over its seeds."""
    varied = [key for key in runs[0].values if key != SEED and len({run.values[key] for run in runs}) > 1]
    groups = dict[tuple[str, ...], list[dict[str, float | None]]]()
    for run in runs:
        groups.setdefault(tuple(run.values[key] for key in varied), []).append(run.read_scores())
    names = [*dict.fromkeys(key for scores in groups.values() for part in scores for key in part)]
    has_seeds = len(runs) > len(groups)
    rows, means = [[*varied, *["runs"] * has_seeds, *names]], list[list[float | None]]()
    for combination, scores in groups.items():
        values = [[part[name] for part in scores if part.get(name) is not None] for name in names]
        means.append([mean(found) if found else None for found in values])  # type: ignore[type-var]
        finished = sum(map(bool, scores))
        count = str(finished) if finished == len(scores) else f"{finished} of {len(scores)}"
        cells = [
            format_value(value) + (f" ± {stdev(found):.1f}" if len(found) > 1 else "")  # type: ignore[type-var]
            for value, found in zip(means[-1], values, strict=True)
        ]
        rows.append([*combination, *[count] * has_seeds, *cells])
    first = len(rows[0]) - len(names)
    best = {(row + 1, first + column) for row, column in find_best(benchmark, means, names)}
    return format_rows(rows, style, best=best, right=len(varied))
