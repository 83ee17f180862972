"""Answers and events that the server sends to the page.

A message of the page is JSON with its ``id``, the name of an action in ``do``, and the action's parameters; see
`session/actions.py`. The server replies with an `Answer` or a `Failure` with the same id. It sends events at any time;
those of a document are in `document/events.py`.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from aotlab_studio.document.events import Event, PageState, Timeline
from aotlab_studio.document.log import Direction, VideoStatus

JobStatus = Literal["starting", "running", "pausing", "paused", "done", "stopped", "failed"]


class LoadedMasks(Struct, frozen=True):
    """The result of loading a file of masks."""

    frames: list[int]
    lost_pixels: dict[int, int]
    """Number of pixels that each object outside the file lost, by object id."""
    unchanged: list[int]
    """Objects that were not changed, as they are locked."""
    replaced_pixels: dict[int, int] = {}
    """Number of pixels of the drawn masks that were replaced, by object id; masks that have only grown do not count."""
    step: int = 0
    """Number of the last step that is not undone."""


class ExportRequest(Struct, frozen=True):
    """An export of a batch."""

    outputs: list[str]
    """Names of the outputs to add to those that each clip has."""
    options: list[str] = []
    """Names of the switches of outputs that are on, such as ``refine_edges``."""
    folder: str = ""
    """Folder on the server to write to, with a folder for each clip; empty: the results, or beside the videos."""


class ExportedClips(Struct, frozen=True):
    """The result of an export of a batch."""

    names: list[str]
    """Clips whose corrected masks were written into the results."""
    problems: list[str]
    """Error messages of clips that could not be written."""
    left_out: list[str] = []
    """Clips without edits; outputs that stay as they were tracked; frames without masks."""


class ExportResult(Struct, frozen=True):
    """A finished export."""

    archive: str
    missing: int
    """Number of frames in the range that have no masks."""
    unclassed: int
    """Number of objects without a class."""
    without_attributes: list[str] = []
    """Annotation files that cannot hold the attributes of the objects."""


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
    status: VideoStatus = "to do"
    frames_to_check: int = 0
    messages: list[str] = []
    """Progress or problem of its tracking; a warning; how many frames are left to track."""
    error: str = ""
    """Error message if it could not be tracked or opened."""
    unreadable: bool = False
    """Whether its video or its project cannot be read."""
    trackable: bool = False
    """Whether it can be tracked: it is not done, and has drawn masks and frames left to track."""
    tracking: bool = False
    """Whether it is tracked, or waits for it, after *Track all*."""
    tracked: bool = False
    """Whether it has tracked masks, and no frame is left to track."""
    frames_left: int = 0
    """Number of frames left to track, if it can be tracked."""
    cut_off: bool = False
    """Whether *Track all* ended before it had tracked the clip, for example as the program was killed."""
    exporting: bool = False
    """Whether it waits for an export."""
    digest: str = ""
    """Digest of its masks and objects, for the address of its thumbnail."""


class JobProgress(Struct, frozen=True):
    """Progress of a tracking job."""

    status: JobStatus
    frame: int
    done: int
    """Number of tracked frames."""
    total: int
    """Number of frames to track."""
    speed: float
    """Frames per second."""
    remaining: float | None
    """Estimated seconds until the end; None if unknown."""
    step: int
    """Number of the step that started it."""
    problem: str | None


class CutOff(Struct, frozen=True):
    """Request whose tracking was cut off, and the arguments of `Session.track` that continue it."""

    frames: int
    """Number of frames left."""
    frame: int
    direction: Direction
    first: int
    last: int
    object_id: int | None


class JobEvent(Event, frozen=True):
    """A tracking job made progress."""

    job: JobProgress


class Description(PageState, frozen=True, kw_only=True):
    """All that a page needs when it opens."""

    name: str
    project: str
    """Id of the project, under which the page stores the last frame and object."""
    video: str
    """Id of the video in this session. Addresses of frames contain it, so that browsers can cache them."""
    frames: int
    size: tuple[int, int]
    """Height, width."""
    rate: float
    timeline: Timeline
    models: list[str]
    model: str
    """The chosen one of ``models``."""
    segmenters: list[str]
    segmenter: str
    """The chosen one of ``segmenters``; empty without any."""
    repeatable_actions: list[str]
    """Actions whose messages may be sent again; they take effect once."""
    job: JobProgress | None
    cut_off: CutOff | None
    read_only: bool
    problems: list[str]
    """Warnings about the project, such as `Document.tracked_again_warning`."""


class ModelEvent(Event, frozen=True):
    """Another model was chosen."""

    model: str


class SegmenterEvent(Event, frozen=True):
    """Another segmenter was chosen."""

    segmenter: str


class LoadingEvent(Event, frozen=True):
    """The model of the prompts is being loaded, or is loaded."""

    loading: bool


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
    """Number of the step that the action added; 0 if it added none."""


class Failure(Struct, frozen=True):
    """The error of an action."""

    id: int | None
    error: str
    unfinished: bool = False
    """Whether the same action with ``force`` succeeds."""
