"""State, history and events of a document."""

from __future__ import annotations

from msgspec import Struct

from aotlab_studio.document.log import FrameRange, VideoStatus
from aotlab_studio.document.objects import ObjectInfo


class StepInfo(Struct, frozen=True):
    """An edit to undo or redo, or a saved version."""

    title: str
    author: str
    """Empty: unknown."""
    time: str
    """UTC, ISO 8601."""
    frame: int | None = None
    """Frame to show; None: several."""
    page: str | None = None
    """Open page that made it; no other page can undo or redo it."""


class Timeline(Struct, frozen=True):
    """Marks of all frames."""

    revision: int
    marks: dict[int, str]
    """A character per frame by object id, explained in `snapshot.py`."""


class DocumentState(Struct, frozen=True):
    """State of a document, without its masks and their timeline."""

    revision: int
    status: VideoStatus
    note: str
    """Note on the status."""
    objects: list[ObjectInfo]
    classes: list[str]
    """Names of classes, as offered."""
    history: tuple[StepInfo | None, StepInfo | None]
    """Edits to undo and to redo."""
    step: int
    """The last step that is not undone; 0: none."""
    outdated: dict[int, list[FrameRange]]
    """First and last frame of each run of outdated frames, by object id."""
    range: FrameRange | None
    """First and last frame to track; None: all."""
    editable_range: FrameRange
    """First and last frame that can be changed."""
    notes: dict[int, str]
    checked: list[int]
    """Frames that are marked as checked, and whose masks have not changed since."""


class Event(Struct, frozen=True, tag_field="event", tag=lambda name: name.removesuffix("Event").lower()):
    """Something that happened, for all pages."""


class FrameEvent(Event, frozen=True):
    """The masks of a frame changed."""

    frame: int
    revision: int
    marks: dict[int, str]
    """Marks of this frame in the timeline by object id."""


class DocumentEvent(Event, frozen=True):
    """Something was edited or tracked."""

    state: DocumentState


class ResultsEvent(Event, frozen=True):
    """Masks of many frames changed, as by undo."""

    revision: int
