"""The interface of outputs, and their options."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from aotlab.media.frames import FrameSource
from aotlab.media.regions import ObjectClasses
from aotlab.media.results import TrackedFrame
from aotlab.utils.errors import require_choice, require_modules
from aotlab.utils.files import atomic_path

ALPHA_KINDS = ("straight", "premultiplied")
COMPRESSIONS = ("zip", "dwaa")
OPTION_FLAGS = {
    "per_object": "--per-object",
    "alpha": "--alpha",
    "plate": "--no-plate",
    "compression": "--compression",
    "refine_edges": "--refine-edges",
}
"""Options of commands by field of `OutputOptions`, for messages."""


@dataclass(frozen=True)
class OutputOptions:
    """Options of outputs for compositing."""

    per_object: bool = False
    """Whether ``prores``, ``vp9`` and ``matte_mov`` write a movie for each object."""
    alpha: Literal["straight", "premultiplied"] = "straight"
    """Colors of ``alpha``, ``prores`` and ``vp9``: those of the plate, or multiplied by alpha."""
    plate: bool = True
    """Whether ``exr`` contains the plate beside the objects."""
    compression: Literal["zip", "dwaa"] = "zip"
    """Compression of ``exr``; ``dwaa`` is smaller and changes colors slightly."""
    refine_edges: bool = False
    """Whether alpha follows the colors of the frame near edges, see `aotlab.media.edges`."""

    def __post_init__(self) -> None:
        require_choice(self.alpha, ALPHA_KINDS, "alpha")
        require_choice(self.compression, COMPRESSIONS, "compression")
        if self.refine_edges:
            require_modules("cv2", "pymatting")  # which brings SciPy

    def list_changed(self) -> dict[str, Any]:
        """Return the options that are not the default by name."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {item.name: values[item.name] for item in fields(self) if values[item.name] != item.default}


@dataclass(frozen=True)
class OutputContext:
    """Video of an output: its frames, classes and frame numbers."""

    source: FrameSource
    classes: ObjectClasses = field(default_factory=ObjectClasses)
    """Classes and attributes of the objects, if known."""
    frame_number: Callable[[int], int] = int
    """Function from the index of a frame to the number that users give it."""
    options: OutputOptions = field(default_factory=OutputOptions)
    objects: tuple[int, ...] = ()
    """Ids of all objects of the video, if known."""
    names: Mapping[int, str] = field(default_factory=dict)
    """Names of objects by id, if known."""
    scores: Mapping[int, Mapping[int, Any]] = field(default_factory=dict)
    """Known scores of masks by frame and object id, as the studio's output ``review`` stores them."""
    schema: Any = None
    """Classes and attributes that objects may have, as the studio's `Schema`; None if unset."""

    def list_layers(self, ids: Iterable[int]) -> dict[int, str]:
        """Return the name of each object in files for compositing, such as ``person.1``: its class and id."""
        names = self.classes.class_names
        return {
            object_id: f"{re.sub(r'[^A-Za-z0-9_-]+', '_', names.get(object_id, 'object'))}.{object_id}"
            for object_id in sorted({*self.objects, *ids})
        }


class Output(ABC):
    """One kind of output, written frame by frame to the file or folder ``path``.

    A plug-in of ``aotlab.outputs`` is a class derived from this one with `file_name` and `description`.
    """

    file_name = ""
    """Name of the file or folder in the folder of results; further files may be written beside it."""
    description = ""
    """Content in a few words, for --write help."""
    bytes_per_pixel = 0.02
    """Bytes for each pixel of a frame, or of each object if `per_object`; measured on ``rabbit.mp4``."""
    per_object = False
    """Whether it has a folder for each object, named by its id."""
    needs_soft = False
    """Whether it is made of the probabilities at edges, `TrackedFrame.soft`, which are stored for it.

    It gets them after `confine_edges` or `refine_edges` of `aotlab.media.edges`.
    """
    every_frame = False
    """Whether the studio's export writes all frames of a range to it, also those without masks."""
    needs_plate = False
    """Whether it contains the frame as the source stores it, `TrackedFrame.plate`."""
    modules: tuple[str, ...] = ()
    """Modules of optional dependencies that it needs."""
    options: tuple[str, ...] = ()
    """Names of the fields of `OutputOptions` that change it."""

    @classmethod
    def find_file_name(cls, options: OutputOptions) -> str:
        """Return the name of its file or folder with these options."""
        return cls.file_name

    def __init__(self, path: Path, context: OutputContext) -> None:
        """Prepare the output of a video; nothing is written before the first frame."""
        self.path, self.context = path, context

    @abstractmethod
    def write(self, name: str, tracked: TrackedFrame) -> None:
        """Write the next frame, whose files are called ``name``; raise `InputError` on failure."""

    def finish(self) -> None:  # noqa: B027  # optional
        """Finish the file; called once, after at least one frame. Raise `InputError` on failure."""

    def discard(self) -> None:  # noqa: B027  # optional
        """Close an incomplete file; the caller removes it."""

    def summary(self) -> str | None:
        """Summary line of the run, once `finish` has returned; None: nothing to print."""
        return None


class FrameFiles(Output):
    """A folder with PNGs of single frames; a subclass draws them."""

    def draw(self, tracked: TrackedFrame) -> Iterator[tuple[str, np.ndarray]]:
        """Yield the images of a frame, each with the name of its subfolder."""
        raise NotImplementedError

    def write(self, name: str, tracked: TrackedFrame) -> None:
        """Write PNGs; level 1 is several times faster than Pillow's default 6, for slightly larger files."""
        for folder, image in self.draw(tracked):
            with atomic_path(self.path / folder / f"{name}.png") as temporary:
                Image.fromarray(image).save(temporary, format="PNG", compress_level=1)
