"""Long videos of DAVIS: every sequence played forward and backward.

python -m research.speed.loop_davis datasets/DAVIS results/davis_looped --times 3
aotlab eval --dataset davis2017 --root results/davis_looped memory.policy=restricted --output results/restricted
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from aotlab.dataloaders.benchmarks.davis import read_davis
from aotlab.dataloaders.benchmarks.sequences import require_readable
from aotlab.dataloaders.training.clips import reflect_index
from aotlab.tools.cli.command import command, require_new_output
from aotlab.tools.cli.types import ExistingFolder, Folder, PositiveInt, option
from aotlab.utils.files import make_folder, write_text


def loop_davis(root: Path, output: Path, times: int) -> dict[str, int]:
    """Write a tree of symbolic links in the layout of DAVIS (480p) with the sequences of DAVIS 2017 val, looped.

    Frames are numbered from 00000, and each has the labels of the frame that it repeats.

    Args:
        root: DAVIS, which stays as it is.
        output: folder to write, which must not exist.
        times: how often each sequence is played, in turn forward and backward.

    Returns:
        Frames of each sequence.
    """
    require_new_output(output, force=False)
    lengths, links = {}, {}
    videos = read_davis(root)
    require_readable(videos)
    for video in videos:
        length, labels = len(video.frames), {path.stem: path for path in video.annotations}
        lengths[video.name] = length + (times - 1) * (length - 1)
        for index in range(lengths[video.name]):
            frame = video.frames[reflect_index(index, length)]
            image = f"480p/{video.name}/{index:05d}"
            links[output / "JPEGImages" / f"{image}{frame.suffix}"] = frame
            links[output / "Annotations" / f"{image}.png"] = labels[frame.stem]
    for path, source in links.items():
        make_folder(path.parent)
        path.symlink_to(source.resolve())
    write_text(output / "ImageSets" / "2017" / "val.txt", "".join(f"{name}\n" for name in lengths))
    return lengths


@command("python -m research.speed.loop_davis")
@click.argument("root", type=ExistingFolder, help="folder of DAVIS")
@click.argument("output", metavar="OUTPUT", type=Folder, help="folder for the looped sequences, in the same layout")
@option("--times", type=PositiveInt, default=3, help="repetitions, alternating in direction")
def main(root: Path, output: Path, *, times: int) -> int:
    """Write DAVIS with every sequence played forward and backward."""
    frames = loop_davis(root, output, times)
    print(f"{len(frames)} sequences of {min(frames.values())} to {max(frames.values())} frames in {output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
