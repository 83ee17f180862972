"""Forecast of a table: what is missing, and the time that its rows take."""

from __future__ import annotations

import time

import numpy as np

from aotlab.benchmark.paper_tables import PaperTable, TableRow, list_missing
from aotlab.configs.load import load_config
from aotlab.engine.tracking.tracker import Tracker
from aotlab.evaluation.benchmarks import find_benchmark
from aotlab.networks.build import build_model

FRAMES = 20
"""Number of frames that are tracked to measure the time."""
HEIGHT, WIDTH = 480, 854


def forecast_table(table: PaperTable, device: str) -> str:
    """Return what each row lacks, with the size of downloads, and the time of rows that can be estimated."""
    missing = dict.fromkeys(line for row in table.rows for line in list_missing(table, row))
    lines = ["missing:", *(f"- {line}" for line in missing)] if missing else ["nothing is missing"]
    seconds = dict[str, float]()
    for row in table.rows:
        model, count = table.models[row.model], count_frames(table, row)
        name = f"{row.model}, {row.benchmark}"
        if count is None or len(model.configs) != 1 or model.options:
            lines.append(f"{name}: time unknown")
            continue
        config = model.configs[0]
        if config not in seconds:
            seconds[config] = measure_frame(config, device)
        minutes = count * seconds[config] / 60
        lines.append(f"{name}: {count} frames, {seconds[config]:.2f} s each on this machine: {minutes:.0f} minutes")
    return "\n".join(lines)


def count_frames(table: PaperTable, row: TableRow) -> int | None:
    """Return the number of frames of a row's benchmark; None if it is neither here nor known."""
    benchmark = table.benchmarks[row.benchmark]
    data = find_benchmark(benchmark.dataset)
    if benchmark.folder.is_dir():
        return sum(len(video.frames) for video in data.open_videos(benchmark.folder, benchmark.split))
    archive = benchmark.find_archive()
    return archive.frames[benchmark.split] if archive else None


def measure_frame(preset: str, device: str) -> float:
    """Return the seconds of a 480p frame with two objects, by a model with random weights."""
    config = load_config(preset)
    tracker = Tracker(build_model(config.model), config, device=device)
    frame = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[100:300, 100:300], mask[200:400, 500:700] = 1, 2
    tracker.step(frame, mask)
    start = time.perf_counter()
    for _ in range(FRAMES):
        tracker.step(frame).labels.sum()
    return (time.perf_counter() - start) / FRAMES
