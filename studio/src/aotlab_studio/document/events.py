"""State, versions and events of a document."""

from __future__ import annotations

from msgspec import Struct

from aotlab_studio.document.log import FrameRange, VideoStatus
from aotlab_studio.document.objects import ObjectInfo


class Version(Struct, frozen=True):
    """A saved version of a project."""

    number: int
    title: str
    author: str
    """who saved it; empty: unknown"""
    date: str
    """local date and time"""


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
    history: tuple[str | None, str | None]
    """titles of the entries to undo and to redo"""
    history_pages: tuple[str | None, str | None]
    """open pages that made these entries; no other page can undo or redo them"""
    step: int
    """the last entry that is not undone; 0: none"""
    outdated: dict[int, list[FrameRange]]
    """first and last frame of each run of outdated frames, by object id"""
    range: FrameRange | None
    """first and last frame to track; None: all"""
    editable_range: FrameRange
    """first and last frame that can be changed"""
    notes: dict[int, str]
    """notes by frame"""
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
