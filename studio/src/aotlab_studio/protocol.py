"""Answers and events sent to the page; the page's messages are the parameters of the actions in `session/actions.py`.

A message is JSON with ``id``, ``do`` (name of an action), the action's parameters and, if it is about an object that
may not exist yet, its ``target`` (`run_on_target`). The server replies with an `Answer` or a `Failure` of this id, and
sends events at any time, also those of `document/events.py`.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from aotlab_studio.document.events import DocumentState, Event, Timeline
from aotlab_studio.document.log import VideoStatus

OutdatedChoice = Literal["wait", "resume", "proceed"]
"""what to do if frames are outdated: wait for tracking, resume it and wait, or use them as they are"""
OutdatedPolicy = Literal["ask", OutdatedChoice]
"""``ask``: refuse, and offer choices"""
JobStatus = Literal["starting", "running", "paused", "done", "stopped", "failed"]


class FileObject(Struct, frozen=True):
    """An object of a file of masks."""

    id: int
    name: str
    """name that the file states; empty without one"""
    target: int | None
    """object of the project that it most likely is; None: a new one"""


class LoadedMasks(Struct, frozen=True):
    """Masks loaded from a file."""

    frames: list[int]
    losses: dict[int, int]
    """pixels taken from objects that are not in the file, by object id"""
    step: int
    """the last step that is not undone"""
    unchanged: list[int] = []
    """objects that were left unchanged, as they are locked or hidden"""


class ExportedClips(Struct, frozen=True):
    """Clips of a batch whose corrected masks were written into its results."""

    names: list[str]
    problems: list[str]
    """error messages of clips that could not be written"""
    left_out: list[str] = []
    """clips with another status, each with that status"""


class ExportResult(Struct, frozen=True):
    """A finished export."""

    archive: str
    missing: int
    """frames of the range without a result"""
    unclassed: int
    """objects without a class"""


class ReviewEntry(Struct, frozen=True):
    """A frame to check."""

    frame: int
    object_ids: list[int]
    """objects to check, worst first"""
    sentence: str
    """reasons by object"""


class Clip(Struct, frozen=True):
    """A video of a batch."""

    name: str
    frames: int
    objects: int
    status: VideoStatus = "open"
    note: str = ""
    """note on the status, such as the reason of a rejection"""
    author: str = ""
    """person who changed the status last; empty: unknown"""
    holder: str = ""
    """person and machine that have it open; empty: nobody"""
    error: str = ""
    """error message if it could not be tracked or opened"""
    untracked: bool = False
    """whether it can be tracked: not finished, with drawn masks, and frames without masks in the range to track"""
    digest: str = ""
    """digest of masks and objects; a status sent with it is refused if they have changed since"""
    sentences: list[str] = []
    """checks, worst first, or the progress of tracking"""


class JobProgress(Struct, frozen=True):
    """Progress of a tracking job."""

    background: bool
    """whether it is a correction that propagates"""
    status: JobStatus
    frame: int
    done: int
    """frames tracked"""
    total: int
    """frames to track"""
    speed: float
    """frames per second"""
    remaining: float | None
    """seconds"""
    overwritten_pixels: int
    """pixels that other objects lost, of all frames"""
    problem: str | None


class JobEvent(Event, frozen=True):
    """A tracking job made progress."""

    job: JobProgress


class Description(DocumentState, frozen=True, kw_only=True):
    """All that a page needs when it opens."""

    name: str
    project: str
    """id of the project; the page stores the last frame and object under it"""
    video: str
    """id of the video in this session, part of the addresses of frames"""
    frames: int
    size: tuple[int, int]
    """height, width"""
    rate: float
    shared: bool
    """whether changes need a name"""
    timeline: Timeline
    outputs: dict[str, str]
    """descriptions by name"""
    models: list[str]
    model: str
    """chosen one of ``models``"""
    repeatable_actions: list[str]
    """actions that the server stores once, however often their messages arrive"""
    job: JobProgress | None
    problems: list[str]
    """sentences about the project, such as `Document.conflict`"""


class ModelEvent(Event, frozen=True):
    """Another model was chosen."""

    model: str


class ExportEvent(Event, frozen=True):
    """An export made progress."""

    done: int
    total: int


class Answer(Struct, frozen=True):
    """The result of an action."""

    id: int | None
    result: Any
    revision: int
    step: int
    """the step that the action made; 0: none"""


class Failure(Struct, frozen=True):
    """The error of an action."""

    id: int | None
    error: str
    choices: list[OutdatedChoice] = []
    """values of ``outdated`` with which the action can be repeated"""
