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
"""Ways to deal with outdated frames: wait for tracking, resume it and wait, or use them as they are."""
OutdatedPolicy = Literal["ask", OutdatedChoice]
"""With ``ask``, the action is refused, and the page offers the choices."""
JobStatus = Literal["starting", "running", "paused", "done", "stopped", "failed"]


class FileObject(Struct, frozen=True):
    """An object of a file of masks."""

    id: int
    name: str
    """Name that the file states; empty without one."""
    target: int | None
    """Object of the project that most likely is the same; None: a new one."""


class LoadedMasks(Struct, frozen=True):
    """Masks loaded from a file."""

    frames: list[int]
    losses: dict[int, int]
    """Pixels taken from objects that are not in the file, by object id."""
    step: int
    """Last step that is not undone."""
    unchanged: list[int] = []
    """Objects that stay unchanged because they are locked or hidden."""


class ExportedClips(Struct, frozen=True):
    """Result of an export of a batch."""

    names: list[str]
    problems: list[str]
    """Error messages of clips that could not be written."""
    left_out: list[str] = []
    """Clips that are neither corrected nor accepted, each with its status."""


class ExportResult(Struct, frozen=True):
    """A finished export."""

    archive: str
    missing: int
    """Number of frames of the range that are not annotated."""
    unclassed: int
    """Number of objects without a class."""


class FrameToCheck(Struct, frozen=True):
    """A frame to check."""

    frame: int
    object_ids: list[int]
    """Objects to check, worst first."""
    sentence: str
    """Names of the objects, each with the reasons to check it."""


class Clip(Struct, frozen=True):
    """A video of a batch."""

    name: str
    frames: int
    objects: int
    status: VideoStatus = "open"
    note: str = ""
    """Note on the status, such as the reason for a rejection."""
    author: str = ""
    """Person who changed the status last; empty: unknown."""
    holder: str = ""
    """Person and machine that have it open; empty: nobody."""
    error: str = ""
    """Error message if it could not be tracked or opened."""
    untracked: bool = False
    """Whether ``POST /track`` tracks the clip: it is not finished, and has drawn masks and frames without masks."""
    digest: str = ""
    """Digest of masks and objects. A status sent with it is refused if these have changed since."""
    sentences: list[str] = []
    """Checks, worst first; during tracking, its progress."""


class JobProgress(Struct, frozen=True):
    """Progress of a tracking job."""

    background: bool
    """Whether the job tracks after a correction, rather than on request."""
    status: JobStatus
    frame: int
    done: int
    """Frames tracked."""
    total: int
    """Frames to track."""
    speed: float
    """Frames per second."""
    remaining: float | None
    """Seconds."""
    overwritten_pixels: int
    """Number of pixels that other objects lost, on all frames."""
    problem: str | None


class JobEvent(Event, frozen=True):
    """A tracking job made progress."""

    job: JobProgress


class Description(DocumentState, frozen=True, kw_only=True):
    """All that a page needs when it opens."""

    name: str
    project: str
    """Id of the project, under which the page stores the last frame and object."""
    video: str
    """Id of the video in this session, part of the addresses of frames."""
    frames: int
    size: tuple[int, int]
    """Height, width."""
    rate: float
    shared: bool
    """Whether changes need a name."""
    timeline: Timeline
    outputs: dict[str, str]
    """Descriptions of the outputs by name."""
    models: list[str]
    model: str
    """Model that is chosen."""
    repeatable_actions: list[str]
    """Actions that may be sent again with the same message id, and are carried out once."""
    job: JobProgress | None
    problems: list[str]
    """Sentences about the project, such as `Document.conflict`."""


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
    """Step that the action made; 0: none."""


class Failure(Struct, frozen=True):
    """The error of an action."""

    id: int | None
    error: str
    choices: list[OutdatedChoice] = []
    """Values of ``outdated`` with which the action can be repeated."""
