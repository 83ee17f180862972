"""State of a document for the page, and the events that its listeners receive."""

from __future__ import annotations

from msgspec import Struct

from aotlab_studio.document.log import FrameRange
from aotlab_studio.document.objects import ObjectInfo
from aotlab_studio.document.schema import ClassRule


class StepInfo(Struct, frozen=True):
    """An edit to undo or redo."""

    title: str
    time: str
    """UTC, ISO 8601."""
    frame: int | None = None
    """Frame that it changed; None if it changed several."""
    page: str | None = None
    """Id of the page that made it, if that is open; no other page can undo or redo it."""


class HistoryEntry(Struct, frozen=True):
    """Edits of one kind in the history; `RestoreStep` goes back to the state after the last one, ``step``."""

    step: int
    time: str
    """UTC, ISO 8601."""
    label: str


class Timeline(Struct, frozen=True):
    """Marks of all frames."""

    revision: int
    marks: dict[int, str]
    """One character a frame, by object id; `timeline.py` defines the characters."""


class PageState(Struct, frozen=True, kw_only=True):
    """Everything that a page shows of a document, except masks and timeline."""

    revision: int
    done: bool
    """Whether the video is marked as done."""
    schema: list[ClassRule]
    """Classes of a file; empty: any."""
    objects: list[ObjectInfo]
    classes: list[str]
    """Class names that the page offers."""
    history: tuple[StepInfo | None, StepInfo | None]
    """Edits that undo and redo would change."""
    step: int
    """Number of the last step that is not undone; 0 without one."""
    outdated: dict[int, list[FrameRange]]
    """First and last frame of each run of outdated frames, by object id."""
    editable_range: FrameRange
    """First and last frame that can be changed."""
    checked: list[int]
    """Frames that are marked as checked."""


class Event(Struct, frozen=True, tag_field="event", tag=lambda name: name.removesuffix("Event").lower()):
    """Base class of the events that are sent to all pages."""


class FrameEvent(Event, frozen=True):
    """The masks of a frame changed."""

    frame: int
    revision: int
    marks: dict[int, str]
    """Marks of this frame in the timeline, by object id."""


class DocumentEvent(Event, frozen=True):
    """The state of the document changed."""

    state: PageState


class ResultsEvent(Event, frozen=True):
    """Masks of many frames changed, for example by undo."""

    revision: int
