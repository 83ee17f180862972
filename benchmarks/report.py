"""Measuring the rows of the performance table, one after another, and keeping what was measured."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import torch

from aotlab.configs.load import load_config
from aotlab.utils.devices import pick_device
from aotlab.utils.errors import InputError, RunStopped
from aotlab.utils.files import atomic_path
from aotlab.utils.progress import progress_bar
from benchmarks.comparison import compare
from benchmarks.machine import describe_machine, matmul_rate
from benchmarks.measurement import measure
from benchmarks.report_text import as_markdown
from benchmarks.rows import STEPS, Row, rows
from benchmarks.settings import Setting, parse_setting

Result = dict[str, Any]
Kept = dict[str, dict[str, Result]]
"""by machine, by name of the row"""


def write_report(
    path: Path, usual: Setting, *, only: str = "", table: Sequence[Row] | None = None, progress: bool = True
) -> None:
    """Measure rows and write them as a Markdown table; what was measured before is kept in a JSON file beside it.

    Both files are written after every row. Each machine has a table, and those of other machines stay.

    Args:
        path: of the Markdown file.
        usual: what the settings of rows do not say: device, frames, size.
        only: text that the rows to measure hold, in name or settings; empty: all.
        table: the rows there are; None: `rows`.
        progress: show a bar.

    Raises:
        InputError: no such row or device, or a file that cannot be read or written.
        RunStopped: rows that failed, when all others are done.
    """
    table = rows() if table is None else table
    device = pick_device(usual.device)
    tasks = _tasks(usual, only, table, device)
    kept = read_kept(path.with_suffix(".json"))
    failed = []
    with progress_bar(len(tasks), unit="row", shown=progress) as bar:
        for name, task in tasks.items():
            try:
                result = {**task(), **_now(device)}
                kept.setdefault(result["machine"], {})[name] = result
                save(path, kept, table)
            except (RuntimeError, MemoryError) as error:  # out of memory, for one
                reason = (str(error) or type(error).__name__).splitlines()[0]
                failed.append(f"{name} ({reason})")
            bar.update()
    if failed:
        raise RunStopped(f"{path}: not measured: {'; '.join(failed)}; all other rows are written")


def read_kept(path: Path) -> Kept:
    """What earlier runs measured; nothing where there is no file.

    Raises:
        InputError: not a file of this kind.
    """
    if not path.is_file():
        return {}
    try:
        kept = json.loads(path.read_text())
        found: Kept = {}
        for results in kept.values():
            for name, result in results.items():
                found.setdefault(result["machine"], {})[name] = result
        return found
    except (OSError, ValueError, AttributeError, TypeError, KeyError) as error:
        raise InputError(
            f"{path}: not the results of earlier reports ({error}); remove it or choose another file"
        ) from error


def save(path: Path, kept: Kept, table: Sequence[Row]) -> None:
    """Write the results of rows that there are as JSON, and the Markdown table beside it.

    Raises:
        InputError: a file cannot be written.
    """
    known = {*STEPS, *(row.what for row in table)}
    kept = {
        machine: {name: result for name, result in results.items() if name in known}
        for machine, results in kept.items()
    }
    with atomic_path(path.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(kept, indent=1) + "\n")
    with atomic_path(path) as temporary:
        temporary.write_text(as_markdown(kept, table))


def _tasks(
    usual: Setting, only: str, table: Sequence[Row], device: torch.device
) -> dict[str, Callable[[], Result]]:
    """What there is to measure, by name; wrong settings are found before the first of them runs."""
    tasks: dict[str, Callable[[], Result]] = {}
    for name, text in STEPS.items():
        if only.lower() in f"{name} {text}".lower():
            tasks[name] = partial(_measured, parse_setting(text, usual))
    here = [row for row in table if not row.gpu_only or device.type != "cpu"]
    for row in here:
        if row.holds(only):
            pair = [parse_setting(text, usual) for text in (row.first, row.second)]
            for setting in pair:
                load_config(setting.config or "aott", setting.overrides)
            tasks[row.what] = partial(_compared, *pair)
    if not tasks:
        names = "; ".join([*STEPS, *(row.what for row in here)])
        raise InputError(f"only {only}: no row holds this text; rows are: {names}")
    return tasks


def _measured(setting: Setting) -> Result:
    """A setting's seconds and its share of what the machine can do."""
    found = measure(setting)
    return {"seconds": found.step_seconds, "gflop": found.step_gflop, "rate_share": found.rate_share}


def _compared(first: Setting, second: Setting) -> Result:
    """Both medians, and the ratio with its spread."""
    found = compare(first, second)
    return {
        "first": found.first, "second": found.second, "seconds": list(found.medians),
        "ratio": found.ratio, "spread": list(found.spread), "pairs": len(found.first_seconds),
    }  # fmt: skip


def _now(device: torch.device) -> Result:
    """Where and when a row was measured, and how fast the machine was just then."""
    return {
        "machine": describe_machine(device).title, "date": date.today().isoformat(),
        "matmul_gflops": matmul_rate(device) / 1e9,
    }  # fmt: skip
