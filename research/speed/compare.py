"""Seconds per frame or training step of one or several settings and checkouts, measured in turn.

``python -m research.speed.compare r50_aotl,objects=10``
``python -m research.speed.compare aott@../before aott --threads 1``
``python -m research.speed.compare deaott,train=4x5x289@../before deaott,train=4x5x289 --rounds 5``
"""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np

from aotlab.tools.cli.command import command
from aotlab.tools.cli.types import Choice, Device, PositiveInt, option, parse_size
from aotlab.utils.environment import prepare_torch
from aotlab.utils.errors import require
from aotlab.utils.files import reading
from aotlab.utils.progress import progress_bar

WORKER = Path(__file__).with_name("worker.py")
SETTINGS_HELP = (
    "A SETTING is MODEL,key=value,...@FOLDER. MODEL is a preset, YAML file or checkpoint. Keys are its settings "
    "(memory.every=2), or objects=N, size=WIDTHxHEIGHT of the drawn frames, at_frame=N for the first timed frame, "
    "train=CLIPSxFRAMESxCROP to time training steps. @FOLDER runs the code of another checkout. Settings are timed in "
    "turn, A B B A …, so that other programs slow all of them. The last column is the first setting's time divided by "
    "this one's: the median over the rounds, with the 10th and 90th percentile."
)


def processor_name() -> str:
    """Return the name of the CPU, if known."""
    info = Path("/proc/cpuinfo")
    match = re.search(r"^model name\s*: (.+)$", info.read_text() if info.is_file() else "", re.MULTILINE)
    return match[1].strip() if match else platform.processor() or platform.machine()


def parse_setting(text: str) -> dict[str, Any]:
    """Read ``MODEL,key=value,...@CHECKOUT``; raises InputError for another form."""
    setting, _, checkout = text.partition("@")
    checkout = checkout or "."
    model, *rest = setting.split(",")
    is_file = model.endswith((".safetensors", ".pth"))
    with reading(text, "write for example aott,objects=10"):
        values = dict(part.split("=", 1) for part in rest)
        run: dict[str, Any] = {
            "objects": int(values.pop("objects", "1")), "size": parse_size(values.pop("size", "854x480")),
            "at_frame": int(values.pop("at_frame", "0")), "train": None,
        }  # fmt: skip
        if "train" in values:
            run["train"] = clips, frames, crop = [int(number) for number in values.pop("train").split("x")]
            require(min(clips, frames, crop) > 0, f"train={clips}x{frames}x{crop}: expected positive numbers")
    require(0 < run["objects"] < run["size"][0], f"objects={run['objects']}: expected 1 to the width - 1")
    require(run["at_frame"] >= 0, f"at_frame={run['at_frame']}: expected 0 or more")
    require(
        (Path(checkout) / "src" / "aotlab").is_dir(),
        f"{checkout}: no checkout, as it lacks src/aotlab; give one after @",
    )
    values.setdefault("train.precision" if run["train"] else "compute.precision", "float32")
    return run | {
        "title": text, "checkout": checkout, "config": None if is_file else model,
        "checkpoint": model if is_file else None, "overrides": [f"{key}={values[key]}" for key in values],
    }  # fmt: skip


@contextmanager
def start_worker(setting: dict[str, Any]) -> Iterator[Callable[[], str]]:
    """Start the process that times one setting, and prepare it; yield a function that times one more frame or step.

    The function returns the line of the process; it raises `InputError` if the process has ended.
    """
    root = Path(setting["checkout"])
    paths = [str((root / folder).resolve()) for folder in ("src", "packages/trackers/src", "trackers/src")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    process = subprocess.Popen(
        [sys.executable, str(WORKER)], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip

    def ask(line: str = "") -> str:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{line}\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        require(answer, f"{setting['title']}: failed; its error is above")
        return answer

    try:
        ask(json.dumps(setting))
        yield ask
    finally:
        process.kill()
        process.communicate()


def measure(settings: Sequence[dict[str, Any]], rounds: int) -> tuple[np.ndarray, list[float]]:
    """Time all settings in turn; return seconds (settings × rounds), and the peak memory of each setting in bytes."""
    seconds, peaks = np.empty((len(settings), rounds)), [0.0] * len(settings)
    with ExitStack() as stack, progress_bar(rounds, unit="round") as bar:
        time_calls = [stack.enter_context(start_worker(setting)) for setting in settings]
        for number in range(rounds):
            for index in range(len(settings))[:: 1 if number % 2 == 0 else -1]:
                seconds[index, number], peaks[index] = map(float, time_calls[index]().split())
            bar.update()
    return seconds, peaks


@command("python -m research.speed.compare", epilog=SETTINGS_HELP)
@click.argument("settings", nargs=-1, required=True, metavar="SETTING...", help="model with settings")
@option("--rounds", type=PositiveInt, default=20, help="number of timed frames per setting")
@option("--threads", type=PositiveInt, help="CPU threads (default: PyTorch's own)")
@option(
    "--clock", type=Choice(("wall", "cpu")), default="wall", help="cpu: CPU seconds of the process, for a busy machine"
)
@option("--device", type=Device, default="cpu", help="cpu, cuda or cuda:N")
def main(settings: tuple[str, ...], *, rounds: int, threads: int | None, clock: str, device: str) -> int:
    """Measure the seconds per frame or training step."""
    shared = {"threads": threads, "clock": clock, "device": device}
    parsed = [parse_setting(text) | shared for text in settings]
    prepare_torch()
    seconds, peaks = measure(parsed, rounds)
    print(f"{processor_name()}, {threads or 'default'} threads, {device}\n")
    print("| setting | s, median | s, fastest | s, p95 | peak MiB | first / this |\n|---|---|---|---|---|---|")
    for setting, row, peak in zip(parsed, seconds, peaks, strict=True):
        low, ratio, high = np.percentile(seconds[0] / row, [10, 50, 90])
        print(
            f"| `{setting['title']}` | {statistics.median(row):.4f} | {row.min():.4f} "
            f"| {np.percentile(row, 95):.4f} | {peak / 2**20:.0f} | {ratio:.2f} ({low:.2f} to {high:.2f}) |"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
