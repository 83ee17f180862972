"""Render clips of look-alikes in the layout of training videos.

    python -m research.bundled.crossings OUTPUT --images FOLDER --videos FOLDER --models FOLDER --clips 1000

Clip N depends on the sources, ``--seed`` and N only; clips that exist are skipped.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click
import cv2
import numpy as np
from PIL import Image

from aotlab.media.masks import write_mask
from aotlab.media.overlay import draw_overlay
from aotlab.tools.cli.command import command
from aotlab.tools.cli.types import ExistingFolder, File, Folder, NonNegativeInt, PositiveInt, option
from aotlab.utils.errors import require
from aotlab.utils.progress import progress_bar
from research.bundled.crossings.scene import render_clip
from research.bundled.crossings.sprites import Sources

SHEET_FRAMES, SHEET_WIDTH = 5, 240
"""Frames of a clip in a row of the contact sheet, and their width in pixels."""


def write_clip(frames: list[np.ndarray], labels: list[np.ndarray], output: Path, name: str, quality: int) -> None:
    """Write frames as JPEG and labels as palette PNG; an interrupted call leaves no frames."""
    images, masks = output / "JPEGImages" / f".{name}", output / "Annotations" / name
    for folder in (images, masks):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    for index, (frame, ids) in enumerate(zip(frames, labels, strict=True)):
        Image.fromarray(frame).save(images / f"{index:05d}.jpg", quality=quality)
        write_mask(masks / f"{index:05d}.png", ids)
    images.rename(images.with_name(name))


def draw_row(frames: list[np.ndarray], labels: list[np.ndarray]) -> np.ndarray:
    """Return some frames of a clip with its labels drawn over them, side by side."""
    size = (SHEET_WIDTH, SHEET_WIDTH * frames[0].shape[0] // frames[0].shape[1])
    chosen = np.linspace(0, len(frames) - 1, SHEET_FRAMES).round().astype(int)
    drawn = [draw_overlay(frames[index], labels[index]) for index in chosen]
    return np.hstack([cv2.resize(each, size, interpolation=cv2.INTER_AREA) for each in drawn])


@command("python -m research.bundled.crossings")
@click.argument("output", type=Folder, metavar="OUTPUT", help="folder for JPEGImages/ and Annotations/")
@option("--images", type=ExistingFolder, help="images with masks, such as datasets/mini/static")
@option("--videos", type=ExistingFolder, help="training videos with masks, such as datasets/mini/davis16")
@option("--split", default="train", help="list of the videos in ImageSets/")
@option("--held-out", is_flag=True, help="use only the images that are held out of training")
@option("--models", type=ExistingFolder, help="animated characters, *.glb; furniture is added")
@option("--clips", type=PositiveInt, default=1000, help="number of clips")
@option("--first", type=NonNegativeInt, default=0, help="number of the first clip")
@option("--seed", type=NonNegativeInt, default=0, help="seed of the clips")
@option("--sheet", type=File, help="write only this image of the clips")
def main(
    *, output: Path, images: Path | None, videos: Path | None, split: str, held_out: bool, models: Path | None,
    clips: int, first: int, seed: int, sheet: Path | None,
) -> int:  # fmt: skip
    """Render clips of objects that look alike, cross and hide one another."""
    cv2.setNumThreads(1)
    require(images or videos or models, "give at least one source", subject="--images, --videos, --models")
    sources, rows = Sources(images, videos, split, models, held_out=held_out), []
    with progress_bar(clips, unit="clip") as bar:
        for number in range(first, first + clips):
            name, rng = f"s{number:05d}", np.random.default_rng([seed, number])
            if sheet or not (output / "JPEGImages" / name).exists():
                frames, labels = render_clip(rng, sources)
                if sheet:
                    rows.append(draw_row(frames, labels))
                else:
                    write_clip(frames, labels, output, name, int(rng.integers(60, 96)))
            bar.update()
    if sheet:
        Image.fromarray(np.vstack(rows)).save(sheet, quality=85)
    return 0


if __name__ == "__main__":
    sys.exit(main())
