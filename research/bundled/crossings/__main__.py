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
from aotlab.utils.progress import progress_bar
from research.bundled.crossings.scene import Clip, render_clip
from research.bundled.crossings.sprites import Sources

SHEET_FRAMES, SHEET_WIDTH = 5, 240
"""Frames of a clip in a row of the contact sheet, and their width in pixels."""


def write_clip(clip: Clip, output: Path, name: str, quality: int) -> None:
    """Write a clip's frames as JPEG and its labels as palette PNG; an interrupted call leaves no frames."""
    images, masks = output / "JPEGImages" / name, output / "Annotations" / name
    part = images.with_name(f".{name}")
    for folder in (part, masks):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    for index, (frame, labels) in enumerate(zip(clip.frames, clip.labels, strict=True)):
        Image.fromarray(frame).save(part / f"{index:05d}.jpg", quality=quality)
        write_mask(masks / f"{index:05d}.png", labels)
    part.rename(images)


def draw_sheet(clips: list[Clip]) -> Image.Image:
    """Return a row of frames with overlays for each clip."""
    rows = []
    for clip in clips:
        chosen = np.linspace(0, len(clip.frames) - 1, SHEET_FRAMES).round().astype(int)
        rows.append(np.hstack([draw_overlay(clip.frames[index], clip.labels[index]) for index in chosen]))
    sheet = Image.fromarray(np.vstack(rows))
    width = SHEET_FRAMES * SHEET_WIDTH
    return sheet.resize((width, round(sheet.height * width / sheet.width)), Image.Resampling.LANCZOS)


@command("python -m research.bundled.crossings")
@click.argument("output", type=Folder, metavar="OUTPUT", help="folder for JPEGImages/ and Annotations/")
@option("--images", type=ExistingFolder, help="images with masks, such as datasets/mini/static")
@option("--videos", type=ExistingFolder, help="training videos with masks, such as datasets/mini/davis16")
@option("--split", default="train", help="list of the videos in ImageSets/")
@option("--models", type=ExistingFolder, help="animated characters, *.glb; furniture is always used")
@option("--clips", type=PositiveInt, default=1000, help="number of clips")
@option("--first", type=NonNegativeInt, default=0, help="number of the first clip")
@option("--seed", type=NonNegativeInt, default=0, help="seed of the clips")
@option("--sheet", type=File, help="also write an image of all clips")
def main(
    *, output: Path, images: Path | None, videos: Path | None, split: str, models: Path | None,
    clips: int, first: int, seed: int, sheet: Path | None,
) -> int:  # fmt: skip
    """Render clips of objects that look alike, cross and hide one another."""
    cv2.setNumThreads(1)
    sources, shown = Sources(images, videos, split, models), []
    with progress_bar(clips, unit="clip") as bar:
        for number in range(first, first + clips):
            name = f"s{number:05d}"
            if sheet or not (output / "JPEGImages" / name).exists():
                rng = np.random.default_rng([seed, number])
                clip = render_clip(rng, sources)
                write_clip(clip, output, name, int(rng.integers(60, 96)))
                shown.append(clip) if sheet else None
            bar.update()
    if sheet:
        draw_sheet(shown).save(sheet, quality=85)
    return 0


if __name__ == "__main__":
    sys.exit(main())
