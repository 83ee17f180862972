"""Folder of training data without the images that the evaluation uses, made of symbolic links.

``python -m research.family.prepare DATA OUTPUT``; DATA holds ``static``, ``davis16`` and ``pairs``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from aotlab.configs.training import SourceConfig
from aotlab.dataloaders.training import layouts
from aotlab.tools.cli.command import command
from aotlab.tools.cli.types import ExistingFolder, Folder
from research.bundled.touching_clips import is_held_out

VIDEOS = ("davis16", "pairs")


def link(path: Path, target: Path) -> None:
    """Link ``path`` to ``target``, unless it exists."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_symlink():
        path.symlink_to(target.resolve())


@command("python -m research.family.prepare")
@click.argument("data", type=ExistingFolder, metavar="DATA", help="folder of static/, davis16/ and pairs/")
@click.argument("output", type=Folder, metavar="OUTPUT", help="folder of the links")
def main(*, data: Path, output: Path) -> int:
    """Link the training data, without the images that are held out."""
    static = data / "static"
    for image in layouts.open_static(static, SourceConfig(path="static", kind="static")).images:
        if not is_held_out(image.image):
            for path in (image.image, image.mask_path):
                link(output / "static" / path.relative_to(static), path)
    for name in VIDEOS:
        link(output / name, data / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
