"""The interface of outputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aotlab_video.masks.regions import Annotations, ObjectClasses
from aotlab_video.runs.store import TrackedFrame
from aotlab_video.sources.frames import FrameSource


@dataclass(frozen=True)
class OutputContext:
    """Video of an output: its frames, classes and frame numbers."""

    source: FrameSource
    classes: ObjectClasses = field(default_factory=ObjectClasses)
    """Classes and attributes of the objects, if known."""
    frame_number: Callable[[int], int] = int
    """Function from the index of a frame to the number that users give it."""
    objects: tuple[int, ...] = ()
    """Ids of all objects of the video, if known."""
    names: Mapping[int, str] = field(default_factory=dict)
    """Names of the objects by id, which overlays show instead of ids; empty if unknown."""

    def make_annotations(self) -> Annotations:
        """Return annotations of the video, still without regions, for an output in a format of `MaskWriter`."""
        classes = self.classes
        return Annotations(self.source.size, class_names=dict(classes.class_names), classes=dict(classes.class_ids))


class Output(ABC):
    """One kind of output, written frame by frame: make it with options, `open` it, `write` frames, `finish`.

    A plug-in of ``aotlab.outputs`` is a class derived from this one with `file_name` and `description`. Where the
    attributes depend on options, its ``__init__`` sets them.
    """

    file_name = ""
    """Name of the file or folder in the folder of results; further files may be written beside it."""
    description = ""
    """Content in a few words, for --write help."""
    per_object = False
    """Whether it has a file or folder for each object."""
    needs_soft = False
    """Whether it is made of the probabilities at edges, `TrackedFrame.soft`, which are stored for it."""
    needs_image = True
    """Whether it needs the video: `TrackedFrame.frame` or `plate`."""
    accepts_streams = False
    """Whether it is written while tracking if the source can be read only once, as it takes little time."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        """``options``: values of all its options by name."""
        self.options = options

    def open(self, path: Path, context: OutputContext) -> None:
        """Prepare to write the file or folder ``path``; nothing is written before the first frame.

        Raises:
            InputError: the output cannot be written of this video.
        """
        self.path, self.context = path, context

    @abstractmethod
    def write(self, frame: TrackedFrame) -> None:
        """Write the next frame, whose files are called ``frame.name``; raise `InputError` on failure."""

    def finish(self) -> str | None:
        """Finish the file after at least one frame; return a text to print. Raise `InputError` on failure."""
        return None

    def discard(self) -> None:  # noqa: B027  # optional
        """Close an incomplete file; the caller removes it."""
