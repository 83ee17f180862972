"""Output writers: masks, object masks, alpha images, mattes, videos, formats of other tools."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from aotlab.engine.video.annotation_files import AnnotationFile
from aotlab.engine.video.resume import Restored
from aotlab.engine.video.review_file import ReviewFile
from aotlab.engine.video.tracked import Output, Tracked
from aotlab.masks.exchange.writing import WRITTEN
from aotlab.media.masks import write_mask
from aotlab.media.overlay import concat_images, draw_ids, draw_overlay
from aotlab.media.video import FrameSource
from aotlab.media.video_writer import VideoWriter
from aotlab.utils.errors import InputError
from aotlab.utils.files import atomic_path, is_folder, real_path, remove, require_writable
from aotlab.utils.locks import remove_leftovers

HEIGHT = 180
"""height of the thumbnail in pixels"""


class FrameFiles(Output):
    """A folder with PNGs of single frames; ``save`` writes those of a frame by folder and name."""

    def __init__(self, path: Path, source: FrameSource, save: Callable[[Path, str, Tracked], None]) -> None:
        super().__init__(require_writable(path))
        self._save = save

    def write(self, name: str, tracked: Tracked) -> None:
        """Write the files of one frame."""
        self._save(self.path, f"{name}.png", tracked)


def save_mask(folder: Path, name: str, tracked: Tracked) -> None:
    """``masks/<frame>.png``: the palette PNG of all objects."""
    write_mask(folder / name, tracked.labels)


def save_objects(folder: Path, name: str, tracked: Tracked) -> None:
    """``objects/<id>/<frame>.png``: 255 on the object, from its first tracked frame on."""
    for object_id in tracked.prediction.ids:
        _save((tracked.prediction.labels == object_id).astype(np.uint8) * 255, folder / str(object_id) / name)


def save_alpha(folder: Path, name: str, tracked: Tracked) -> None:
    """``alpha/<frame>.png``: the frame with the probability of any object as its alpha channel."""
    _save(with_alpha(tracked), folder / name)


def save_mattes(folder: Path, name: str, tracked: Tracked, white: int = 255) -> None:
    """``mattes/<id>/<frame>.png``: probability of the object in grey, from its first tracked frame on.

    ``white``: value of probability 1: 255, or 65535 for 16-bit PNGs.
    """
    kind = np.uint8 if white == 255 else np.uint16
    for object_id, own in zip(tracked.prediction.ids, tracked.prediction.probabilities[1:], strict=True):
        values = (own.float() * white).round().clamp(0, white).cpu().numpy().astype(kind)
        _save(values, folder / str(object_id) / name)


class VideoFile(Output):
    """Video with the rate, times, size and sound of the source."""

    def __init__(self, path: Path, source: FrameSource, draw: Callable[[Tracked], np.ndarray]) -> None:
        super().__init__(path)
        self._draw = draw
        self._writer = VideoWriter(
            path, rate=source.rate, size=source.size, variable=source.variable, sound=source.sound
        )

    def write(self, name: str, tracked: Tracked) -> None:
        """Append one frame."""
        self._writer.write(self._draw(tracked), tracked.time)

    def finish(self) -> None:
        """Complete the file, which plays up to the last written frame."""
        self._writer.__exit__(None, None, None)

    def drop(self) -> None:
        """Remove the incomplete file."""
        error = InputError(f"{self.path}: dropped")
        self._writer.__exit__(InputError, error, None)


class Thumbnail(Output):
    """``thumbnail.jpg``, written at the end."""

    def __init__(self, path: Path, source: FrameSource) -> None:
        super().__init__(path)
        self._images: dict[str, np.ndarray] = {}
        self._lowest = float("inf")

    def write(self, name: str, tracked: Tracked) -> None:
        """Add one frame."""
        confidence = min(tracked.prediction.confidence.values(), default=1.0)
        image = small_overlay(tracked.frame, tracked.labels)
        if not self._images:
            self._images["first"] = image
            return
        if confidence < self._lowest:
            self._lowest, self._images["worst"] = confidence, image
        self._images["last"] = image

    def finish(self) -> None:
        """Write the file, unless there were no frames."""
        images = [self._images[key] for key in ("first", "worst", "last") if key in self._images]
        if images:
            with atomic_path(self.path) as temporary:
                Image.fromarray(concat_images(images)).save(temporary, quality=85)


def small_overlay(frame: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Draw H×W object ids over a frame (H×W×3 uint8 RGB), scaled to `HEIGHT`."""
    height, width = labels.shape
    size = (max(1, round(width * HEIGHT / height)), HEIGHT)
    image = np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))
    ids = np.asarray(Image.fromarray(labels.astype(np.int32)).resize(size, Image.Resampling.NEAREST))
    return draw_overlay(image, ids)


def with_overlay(tracked: Tracked) -> np.ndarray:
    """Draw objects and ids over the frame: H×W×3 uint8."""
    return draw_ids(draw_overlay(tracked.frame, tracked.labels), tracked.labels)


def with_alpha(tracked: Tracked) -> np.ndarray:
    """Return the frame with the probability of any object as alpha, 0 to 255: H×W×4 uint8."""
    background = tracked.prediction.probabilities[0]
    alpha = ((1 - background) * 255).round().clamp(0, 255).byte().cpu().numpy()
    return np.dstack([tracked.frame, alpha])


OUTPUTS: dict[str, tuple[str, Callable[[Path, FrameSource], Output]]] = {
    "masks": ("masks", partial(FrameFiles, save=save_mask)),
    "objects": ("objects", partial(FrameFiles, save=save_objects)),
    "review": ("review.json", ReviewFile),
    "thumbnail": ("thumbnail.jpg", Thumbnail),
    "mattes": ("mattes", partial(FrameFiles, save=save_mattes)),
    "mattes16": ("mattes16", partial(FrameFiles, save=partial(save_mattes, white=65535))),
    "alpha": ("alpha", partial(FrameFiles, save=save_alpha)),
    "prores": ("alpha.mov", partial(VideoFile, draw=with_alpha)),
    "vp9": ("alpha.webm", partial(VideoFile, draw=with_alpha)),
    "overlay": ("overlay.mp4", partial(VideoFile, draw=with_overlay)),
    **{name: (file, partial(AnnotationFile, name)) for name, (file, _) in WRITTEN.items()},
}
"""file or folder name and writer by output name"""


class Outputs:
    """Several outputs of one source, written together; ``written`` is called after each frame."""

    def __init__(
        self,
        outputs: Mapping[str, Output],
        source: FrameSource,
        written: Callable[[Tracked], None] | None = None,
    ) -> None:
        self.written: dict[str, Path] = {}
        """completed files and folders by name, after `finish`"""
        self.frames = 0
        """number of frames written to all outputs"""
        self.last = -1
        """index of the last of them in the source"""
        self._outputs, self._source, self._written = outputs, source, written

    def write(self, tracked: Tracked) -> None:
        """Write a frame to every output; raise `InputError` on failure.

        Files of single frames are not written again if the prediction was restored from them.
        """
        name, restored = self._source.stem(tracked.index), isinstance(tracked.prediction, Restored)
        for output in self._outputs.values():
            if not (restored and isinstance(output, FrameFiles)):
                output.write(name, tracked)
        self.frames, self.last = self.frames + 1, tracked.index
        if self._written is not None:
            self._written(tracked)

    def finish(self) -> Exception | None:
        """Complete all outputs; return the first error."""
        problem: Exception | None = None
        for name, output in self._outputs.items():
            try:
                output.finish()
                if output.path.exists():
                    self.written[name] = output.path
            except Exception as error:  # complete the others; the caller raises the first error
                problem = problem or error
        return problem

    def drop(self) -> None:
        """Remove incomplete files."""
        for output in self._outputs.values():
            with suppress(Exception):
                output.drop()


def open_outputs(
    names: Iterable[str], folder: Path, source: FrameSource, class_names: Mapping[int, str] | None = None
) -> dict[str, Output]:
    """Create the outputs of these names in a folder; raise `InputError` if it cannot be written.

    ``class_names``: by object id, if known.
    """
    outputs = {name: OUTPUTS[name][1](folder / OUTPUTS[name][0], source) for name in names}
    for output in outputs.values():
        output.class_names.update(class_names or {})
    return outputs


def remove_temporary_files(names: Iterable[str], folder: Path) -> None:
    """Remove temporary files that a killed run left in a folder and in those of its outputs."""
    remove_leftovers(folder)
    for path in (folder / OUTPUTS[name][0] for name in names):
        remove_leftovers(path)
        for inner in filter(Path.is_dir, path.iterdir() if path.is_dir() else ()):  # of single objects
            remove_leftovers(inner)


def refuse_source(names: Iterable[str], folder: Path, source: Path) -> None:
    """Check that outputs do not overwrite the source.

    Args:
        names: names of the outputs.
        folder: output folder.
        source: video file or folder of frames, which may be links.

    Raises:
        InputError: an output would overwrite a frame or the video.
    """
    targets = {real_path(folder / OUTPUTS[name][0]) for name in names}
    files = [source, *source.iterdir()] if is_folder(source) else [source]
    for file in files:
        path = real_path(file)
        if not targets.isdisjoint((path, *path.parents)):
            raise InputError(f"{folder}: the results would overwrite {file}; choose another folder")


def refuse_results(names: Iterable[str], folder: Path) -> None:
    """Raise `InputError` if the folder holds results of another run."""
    for path in _results(names, folder):
        raise InputError(
            f"output {folder}: holds {path.name} of another run; choose another folder, or replace it with "
            "--force"
        )


def remove_results(names: Iterable[str], folder: Path) -> None:
    """Remove outputs of another run; raise `InputError` on failure."""
    for path in _results(names, folder):
        remove(path)


def _results(names: Iterable[str], folder: Path) -> list[Path]:
    """Return existing outputs in the folder; empty folders are ignored."""
    paths = [folder / OUTPUTS[name][0] for name in names]
    return [path for path in paths if path.exists() and not (path.is_dir() and not any(path.iterdir()))]


def _save(image: np.ndarray, path: Path) -> None:
    """Write a PNG; level 1 is several times faster than Pillow's default 6, for slightly larger files."""
    with atomic_path(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG", compress_level=1)
