"""Accuracy and CPU time of exports, such as one in float32 and one in int8, beside PyTorch in float32.

ONEDNN_MAX_CPU_ISA=AVX512_CORE_VNNI OMP_WAIT_POLICY=passive OMP_NUM_THREADS=1 \
    python -m research.speed.int8 datasets/DAVIS EXPORT EXPORT

ONEDNN_MAX_CPU_ISA limits the instructions that PyTorch uses, here to those of CPUs without bfloat16 and AMX.
onnxruntime ignores it. Leave it out to measure PyTorch with all instructions of this CPU.
"""

from __future__ import annotations

import os
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import numpy as np

import aotlab_runtime
from aotlab.engine.tracking.tracker import Tracker
from aotlab.evaluation.metrics import region_similarity
from aotlab.export.clip import Clip, read_clip
from aotlab.tools.cli.command import command
from aotlab.tools.cli.types import ExistingFolder, PositiveInt, option

CLIPS = ("motorbike", "hockey+rollerblade", "drift-turn")
WARM_UP = 2
"""Number of untimed frames at the start of a clip."""
OVERRIDES = ("compute.precision=float32", "rules.cuts=false", "input.min_object=null")
"""Settings of `aotlab.Tracker` that compute as the graphs do."""


def draw_objects(shape: tuple[int, ...], count: int) -> np.ndarray:
    """Draw a mask of rectangles beside each other."""
    mask = np.zeros(shape, np.uint8)
    edges = np.linspace(0, shape[1], count + 1).astype(int)
    for object_id, (left, right) in enumerate(pairwise(edges), 1):
        mask[shape[0] // 3 : 2 * shape[0] // 3, left + 20 : right - 20] = object_id
    return mask


def compare(trackers: dict[str, Any], clips: list[Clip], objects: int | None) -> None:
    """Track clips with all trackers in turn, frame by frame, and print a row for each.

    ``objects``: number of rectangles to track in place of the annotated objects; the first tracker's masks are the
    truth then. None: the clip's objects.
    """
    first = next(iter(trackers))
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in trackers}
    scores: dict[str, list[list[float]]] = {name: [] for name in trackers}
    for clip in clips:
        mask = draw_objects(clip[0][1].shape, objects) if objects else clip[0][1]
        ids = [object_id for object_id in np.unique(mask) if object_id]
        predictions: dict[str, list[np.ndarray]] = {name: [] for name in trackers}
        for tracker in trackers.values():
            tracker.reset()
        for index, (frame, _) in enumerate(clip):
            for name, tracker in trackers.items():
                cpu, wall = time.process_time(), time.perf_counter()
                predictions[name].append(np.asarray(tracker.step(frame, None if index else mask).labels))
                if index >= WARM_UP:
                    spent[name].append((time.process_time() - cpu, time.perf_counter() - wall))
        for name, labels in predictions.items():
            truth = predictions[first] if objects else [annotation for _, annotation in clip]
            scores[name].extend(
                [region_similarity(truth[index] == i, labels[index] == i) for index in range(1, len(clip) - 1)]
                for i in ids
            )
    base = np.sum(spent[first], axis=0)
    for name, seconds in spent.items():
        (cpu, wall), (cpu_ratio, wall_ratio) = np.median(seconds, axis=0), np.sum(seconds, axis=0) / base
        score = 100 * np.mean([np.mean(each) for each in scores[name]])
        print(f"| {name} | {cpu:.2f} | {cpu_ratio:.2f} | {wall:.2f} | {wall_ratio:.2f} | {score:.1f} |", flush=True)


@command("python -m research.speed.int8")
@click.argument("root", type=ExistingFolder, help="folder of DAVIS")
@click.argument("exports", type=ExistingFolder, nargs=-1, help="exports of the bundled model")
@option("--frames", type=PositiveInt, default=12, help="frames of each clip")
@option("--threads", type=PositiveInt, default=1, help="threads")
def main(*, root: Path, exports: tuple[Path, ...], frames: int, threads: int) -> int:
    """Measure accuracy and CPU time of exports."""
    import torch

    torch.set_num_threads(threads)
    clips = [read_clip(root / "JPEGImages/480p" / name, root / "Annotations/480p" / name, frames) for name in CLIPS]
    trackers: dict[str, Any] = {"PyTorch, float32": Tracker.from_pretrained(overrides=OVERRIDES)}
    for export in exports:
        trackers[export.name] = aotlab_runtime.Tracker.from_export(export, threads=threads)
    print(f"ISA {os.environ.get('ONEDNN_MAX_CPU_ISA', 'all')}, {threads} threads")
    print("median CPU seconds, total relative to the first; wall seconds, relative; J")
    compare(trackers, clips, None)
    print("five drawn objects; J beside PyTorch's masks")
    compare(trackers, clips[:1], 5)
    return 0


if __name__ == "__main__":
    sys.exit(main())
