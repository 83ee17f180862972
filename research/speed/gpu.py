"""Table of a GPU's speed and memory, as Markdown and JSON: ``python -m research.speed.gpu --output my_card``.

A run takes about ten minutes; interrupted, the same command measures what is missing. Each row has its own process.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from importlib import metadata
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aotlab import __version__
from aotlab.sdk import atomic_path, command
from aotlab.tools.cli.types import Device, File, PositiveInt, Size, list_option, option
from aotlab.utils.errors import InputError
from aotlab.utils.progress import progress_bar
from research.speed.compare import Worker, parse_setting, processor_name

MODES = (("float32", False), ("bfloat16", False), ("bfloat16", True))
"""precision, and whether the model is compiled"""
MODELS = ("r50_deaotl",)
OBJECTS = (1, 10, 50)
SIZES = ((854, 480), (1920, 1080))
MEMORY = ("memory.policy=restricted", "memory.frames=9", "memory.every=5")
"""memory of `aotlab track`"""
FULL_AT = 50
"""first timed frame; memory is full"""
MIB = 2**20
COLUMNS = ("model", "precision", "compiled", "size", "objects", "ms, p50", "ms, p95", "MiB")


def describe_run(device: str) -> dict[str, str]:
    """Return what the figures depend on: device, processor, commit and versions."""
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True)
    on_gpu = device.startswith("cuda")
    return {
        "device": torch.cuda.get_device_name(device) if on_gpu else device,
        "processor": processor_name(), "system": platform.platform(),
        "aotlab": f"{__version__} ({commit.stdout.strip() or 'no git'})", "python": platform.python_version(),
        "torch": torch.__version__, "cuda": str(torch.version.cuda), "numpy": metadata.version("numpy"),
    }  # fmt: skip


def list_cells(
    models: Sequence[str], sizes: Sequence[tuple[int, int]], counts: Sequence[int], device: str
) -> list[dict[str, Any]]:
    """Return the rows to measure, in order; ``counts``: numbers of objects."""
    cells = []
    for model, (precision, compiled) in product(models, MODES):
        if compiled and (model in ("edgetam", "sam2_tiny") or not device.startswith("cuda")):
            continue
        for (width, height), objects in product(sizes, counts):
            cells.append({
                "model": model, "precision": precision, "compiled": compiled, "size": f"{width}x{height}",
                "objects": objects,
            })  # fmt: skip
    return cells


def measure(cell: dict[str, Any], *, at_frame: int, frames: int, device: str) -> dict[str, float]:
    """Time the frames of one row in a process; raises InputError if it fails, for example for lack of memory."""
    parts = [cell["model"], f"objects={cell['objects']}", f"size={cell['size']}", f"at_frame={at_frame}"]
    parts += [f"compute.precision={cell['precision']}", f"compute.compile={str(cell['compiled']).lower()}"]
    setting = parse_setting(",".join([*parts, *MEMORY]))
    with Worker(setting | {"threads": None, "clock": "wall", "device": device}) as worker:
        rows = np.array([worker.request("").split() for _ in range(frames)], float)
    p50, p95 = np.percentile(rows[:, 0] * 1000, [50, 95])
    return {"p50_ms": round(p50, 2), "p95_ms": round(p95, 2), "peak_mib": round(rows[-1, 1] / MIB)}


def format_table(run: dict[str, str], frames: int, rows: list[dict[str, Any]]) -> str:
    """Return the figures as Markdown; a row without figures failed."""
    lines = [f"# {run['device']}", "", *(f"* {key}: {value}" for key, value in run.items()), ""]
    lines += [f"{frames} frames after memory is full, random weights.", ""]
    lines += ["| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    for row in rows:
        figures = [row.get(key, "failed") for key in ("p50_ms", "p95_ms", "peak_mib")]
        lines.append(
            f"| `{row['model']}` | {row['precision']} | {'yes' if row['compiled'] else 'no'} | {row['size']} "
            f"| {row['objects']} | " + " | ".join(map(str, figures)) + " |"
        )
    return "\n".join(lines) + "\n"


def read_rows(path: Path, run: dict[str, str]) -> list[dict[str, Any]]:
    """Return the rows of an earlier run; raises InputError if they are of another device, commit or version."""
    if not path.exists():
        return []
    content = json.loads(path.read_text(encoding="utf-8"))
    for key, value in run.items():
        if content["run"].get(key) != value:
            raise InputError(
                f"{path}: has figures of {key} {content['run'].get(key)}, this is {value}; give another --output"
            )
    return content["rows"]


@command("python -m research.speed.gpu", "Speed and memory of a GPU.")
@option("--output", type=File, default="gpu", help="NAME.json and NAME.md to write")
@list_option("--models", help="presets; edgetam, sam2_tiny: those of transformers (default: r50_deaotl)")
@list_option("--objects", read=PositiveInt, help="numbers of objects (default: 1,10,50)")
@list_option("--sizes", read=Size, help="sizes of the video (default: 854x480,1920x1080)")
@option("--frames", type=PositiveInt, default=50, help="timed frames per row")
@option("--at-frame", type=PositiveInt, default=FULL_AT, help="first timed frame")
@option("--device", type=Device, default="cuda", help="cuda, cuda:N or cpu")
def main(
    *,
    output: Path,
    models: tuple[str, ...],
    objects: tuple[int, ...],
    sizes: tuple[tuple[int, int], ...],
    frames: int,
    at_frame: int,
    device: str,
) -> int:
    """Measure the rows that are missing and write both files; returns the exit code, 1 if a row failed."""
    json_file, table_file = (output.with_name(output.name + suffix) for suffix in (".json", ".md"))
    run = describe_run(device)
    rows, failed = read_rows(json_file, run), []
    cells = [
        cell
        for cell in list_cells(models or MODELS, sizes or SIZES, objects or OBJECTS, device)
        if not any(cell.items() <= row.items() for row in rows)
    ]
    with progress_bar(len(cells), unit="row") as bar:
        for cell in cells:
            try:
                figures = measure(cell, at_frame=at_frame, frames=frames, device=device)
                rows.append(cell | figures | {"date": date.today().isoformat()})
            except InputError:
                failed.append(cell)
            content = {"run": run, "frames": frames, "rows": rows}
            for path, text in (
                (json_file, json.dumps(content, indent=1) + "\n"),
                (table_file, format_table(run, frames, rows + failed)),
            ):
                with atomic_path(path) as temporary:
                    temporary.write_text(text, encoding="utf-8")
            bar.update()
    print(table_file.read_text(encoding="utf-8"))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
