"""Small clips on disk."""

from pathlib import Path

import PIL.Image

from aotlab import Job, RunOptions, write_mask
from aotlab.engine.export.synthetic_clip import draw_clip

OPTIONS = RunOptions(write=("masks", "coco"))


def write_clip(folder: Path, name: str, seed: int, frames: int = 6) -> Job:
    """Write a synthetic clip and its first mask; return its job."""
    images, masks = draw_clip(frames, 64, 96, seed=seed)
    (folder / name).mkdir(parents=True)
    for index, image in enumerate(images):
        PIL.Image.fromarray(image).save(folder / name / f"{index:05d}.png")
    write_mask(folder / f"{name}.png", masks[0])
    return Job(name, str(folder / name), (str(folder / f"{name}.png"),))


def read_results(folder: Path) -> dict[str, bytes]:
    """Return the results below a folder by path, without records and locks."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name[0] != "." and path.name != "results.json"
    }
