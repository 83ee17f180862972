"""State, history and events of a document."""

from __future__ import annotations

from msgspec import Struct

from aotlab_studio.document.log import FrameRange, VideoStatus
from aotlab_studio.document.objects import ObjectInfo


class StepInfo(Struct, frozen=True):
    """An edit to undo or redo, or a saved version."""

    title: str
    author: str
    """empty: unknown"""
    time: str
    """UTC, ISO 8601"""
    frame: int | None = None
    """frame to show; None: several"""
    page: str | None = None
    """open page that made it; no other page can undo or redo it"""


class Timeline(Struct, frozen=True):
    """Marks of all frames."""

    revision: int
    marks: dict[int, str]
    """a character per frame by object id, explained in `snapshot.py`"""


class DocumentState(Struct, frozen=True):
    """State of a document, without its masks and their timeline."""

    revision: int
    status: VideoStatus
    note: str
    """note on the status"""
    objects: list[ObjectInfo]
    classes: list[str]
    """names of classes, as offered"""
    history: tuple[StepInfo | None, StepInfo | None]
    """edits to undo and to redo"""
    step: int
    """the last step that is not undone; 0: none"""
    outdated: dict[int, list[FrameRange]]
    """first and last frame of each run of outdated frames, by object id"""
    range: FrameRange | None
    """first and last frame to track; None: all"""
    editable_range: FrameRange
    """first and last frame that can be changed"""
    notes: dict[int, str]
    checked: list[int]
    """frames that are marked as checked, and whose masks have not changed since"""


class Event(Struct, frozen=True, tag_field="event", tag=lambda name: name.removesuffix("Event").lower()):
    """Something that happened, for all pages."""


class FrameEvent(Event, frozen=True):
    """The masks of a frame changed."""

    frame: int
    revision: int
    marks: dict[int, str]
    """marks of this frame in the timeline by object id"""


class DocumentEvent(Event, frozen=True):
    """Something was edited or tracked."""

    state: DocumentState


class ResultsEvent(Event, frozen=True):
    """Masks of many frames changed, as by undo."""

    revision: int
