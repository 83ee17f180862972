"""The authors' own code of AOT and DeAOT beside aotlab's, on the CPU, with the same weights.

``pip install --no-deps deaotpy`` beforehand. ``python -m research.parity`` compares masks and logits, ``--speed`` the
time per frame, ``--training`` the loss, gradients and steps of the optimizer.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click
import cv2
import numpy as np
import torch

from aotlab import score_labels
from aotlab.configs.files import ROOT
from aotlab.media.images import read_image
from aotlab.media.masks import read_mask
from aotlab.tools.cli.command import command
from aotlab.tools.cli.types import PositiveInt, option, parse_size
from aotlab.utils.environment import prepare_torch
from aotlab.utils.errors import InputError, require
from aotlab.utils.provenance import list_versions
from aotlab_trackers.loading import AUTHORS_MODELS
from research.parity.pairs import BUNDLED, LATER, ROWS, Row, build_pair, make_masks, track
from research.speed.compare import processor_name

SAMPLE = ROOT / "datasets" / "sample"
GROUP = 10
"""Objects that a network takes; logits of several groups are merged in other units."""


def read_clips(root: Path, count: int, size: tuple[int, int] | None) -> dict[str, tuple[list, list]]:
    """Return the first frames and annotations of each video of a DAVIS folder by name.

    ``size``: (width, height) to scale to; None: as stored.
    """
    clips = {}
    for folder in sorted((root / "JPEGImages" / "480p").glob("*/")):
        paths = sorted(folder.glob("*.jpg"))[:count]
        masks = [root / "Annotations" / "480p" / folder.name / f"{path.stem}.png" for path in paths]
        frames, labels = [read_image(path) for path in paths], [read_mask(mask) for mask in masks]
        if size:
            frames = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames]
            labels = [cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST) for mask in labels]
        clips[folder.name] = frames, labels
    require(clips, "has no JPEGImages/480p/NAME", subject=root, remedy="give a folder of DAVIS")
    return clips


def compare_masks(name: str, row: Row, frames: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> str:
    """Track a clip with both codes; return a row of the table."""
    ours, theirs = build_pair(name, row.memory_every)
    masks = make_masks(row, labels)
    predicted = track(ours, frames, masks)
    try:
        expected = track(theirs, frames, masks)
    except (AssertionError, IndexError, RuntimeError, TypeError) as error:  # of the authors' code
        return f"the authors' code fails: {' '.join(str(error).split())[:60]}"
    equal, largest, found = list[float](), 0.0, list[list[np.ndarray]]()
    for index, (prediction, reference) in enumerate(zip(predicted, expected, strict=True)):
        found.append([np.asarray(prediction.labels), np.asarray(reference.labels)])
        if index not in masks:
            equal.append(float(np.mean(found[-1][0] == found[-1][1])))
            largest = max(largest, float((prediction.logits - reference.logits).abs().max()))
    logits = f"{largest:.0e}" if row.objects <= GROUP else "–"
    truth = [(label > 0).astype(np.uint8) for label in labels]
    means = [
        score_labels(truth, [(each > 0).astype(np.uint8) for each in tracked]).mean
        for tracked in zip(*found, strict=True)
    ]
    scores = " / ".join(f"{100 * mean:.1f}" for mean in means)
    return f"{min(equal):.6f} | {sum(share == 1 for share in equal)} of {len(equal)} | {logits} | {scores}"


@command("python -m research.parity")
@click.argument("models", nargs=-1, metavar="[MODEL]...", help="presets, or `bundled` (default: all)")
@option("--root", type=Path, default=SAMPLE, help="folder of DAVIS with annotations of all frames")
@option("--frames", type=PositiveInt, default=8, help="frames of each video")
@option("--size", default="384x224", help="WIDTHxHEIGHT of the frames, or native")
@option("--threads", type=PositiveInt, default=1, help="CPU threads")
@option("--speed", is_flag=True, help="compare the time per frame instead")
@option("--training", is_flag=True, help="compare loss, gradients and steps instead (default: of aott and deaott)")
def main(
    models: tuple[str, ...], *, root: Path, frames: int, size: str, threads: int, speed: bool, training: bool
) -> int:
    """Compare aotlab with the authors' own code of AOT and DeAOT."""
    known = (BUNDLED, *AUTHORS_MODELS)
    for name in models:
        require(name in known, f"{name}: not one of {', '.join(known)}")
    require(frames > LATER + 1, f"--frames {frames}: expected {LATER + 2} or more")
    versions = dict(list_versions(["aot", "torch"]))
    if versions["aot"] == "missing":
        raise InputError("the authors' code is missing", remedy="pip install --no-deps deaotpy")
    prepare_torch()
    torch.set_num_threads(threads)
    print(f"{processor_name()}, {threads} threads, {', '.join(versions.values())}\n")
    if training:
        from research.parity.training import compare_training

        return compare_training(models or ("aott", "deaott"))
    clips = read_clips(root, frames, None if size == "native" else parse_size(size))
    if speed:
        from research.parity.speed import compare_speed

        return compare_speed(models or AUTHORS_MODELS, *next(iter(clips.values())))
    print("| weights | clip | objects | equal pixels, worst frame | equal frames | largest difference of logits | "
          "J&F, ours / theirs |\n|---|---|---|---|---|---|---|")  # fmt: skip
    for name in models or known:
        for clip, (images, labels) in clips.items():
            for row in ROWS:
                print(f"| {name} | {clip} | {row.title} | {compare_masks(name, row, images, labels)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
