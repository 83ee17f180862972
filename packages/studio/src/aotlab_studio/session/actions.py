"""Actions of the page: edits, and those that concern a session.

``scripts/page_types.py`` writes messages, results and events as TypeScript for the page.
"""

from __future__ import annotations

from typing import Any, Union, get_type_hints

import msgspec
import numpy as np

import aotlab_video
from aotlab import InputError
from aotlab.utils.text import format_count
from aotlab_studio import protocol
from aotlab_studio.document import editing
from aotlab_studio.document.editing import Action, Box, Clicks, Edit, EditResult, Reach, Shape
from aotlab_studio.document.events import HistoryEntry, StepInfo, Timeline
from aotlab_studio.document.log import NO_ORIGIN, Direction, Origin
from aotlab_studio.document.painting import Point, find_corners, find_outlines
from aotlab_studio.document.planning import list_replaced_reshapes, plan_request
from aotlab_studio.protocol import JobProgress
from aotlab_studio.review.checks import list_checks
from aotlab_studio.session.export import add_record, export_masks, snapshot_for_export
from aotlab_studio.session.prompting import PromptInput, PromptMode, choose_change, draw_prompted
from aotlab_studio.session.session import Session, UnfinishedError, find_cut_off
from aotlab_studio.utils.files import stage_files
from aotlab_studio.utils.video import require_frame

MAX_CHECKS = 500
Targets = dict[str, int | None]
"""Object id by the name that a page gives to an object that may not exist yet; None: a new object."""
Outline = list[tuple[int, int]]


class SessionAction(Action, frozen=True):
    """Base class of the actions that need the jobs, prompts or pages of a session, or that add no edit."""

    def run(self, session: Session) -> Any:
        """Carry it out; raise `InputError` if it is refused."""
        raise NotImplementedError


class GetTimeline(SessionAction, frozen=True, tag="timeline"):
    """Return the marks of each object on all frames."""

    def run(self, session: Session) -> Timeline:
        return session.document.timeline()


class ListHistory(SessionAction, frozen=True):
    """Return the edits that lead to what is shown, newest first."""

    def run(self, session: Session) -> list[HistoryEntry]:
        return session.document.list_history()


class Undo(SessionAction, frozen=True):
    """Undo and return the last edit; raise `InputError` if it is not ``step``, or was made in another open page."""

    step: int | None = None

    def run(self, session: Session) -> StepInfo | None:
        return session.document.undo(self.step)


class Redo(SessionAction, frozen=True):
    """Redo and return the last undone edit; raise `InputError` if it was made in another open page."""

    def run(self, session: Session) -> StepInfo | None:
        return session.document.redo()


class SetDone(SessionAction, frozen=True):
    """Mark the video as done, or as not done; raise `UnfinishedError` if frames are left to check."""

    done: bool
    force: bool = False
    """Mark it as done although frames are left to check."""

    def run(self, session: Session) -> None:
        frames = {check.frame for check in list_checks(session.document.snapshot)}
        if self.done and frames and not self.force:
            left = format_count(len(frames), "frame")
            raise UnfinishedError(f"{left} left to check. Mark the clip as done?")
        session.document.set_done(self.done)


class Describe(SessionAction, frozen=True):
    """Return all that a page needs when it opens."""

    def run(self, session: Session) -> protocol.Description:
        document, job = session.document, session.runner.running_job
        frames, loader = document.frames, session.loader
        state = msgspec.structs.asdict(document.describe_page_state())
        return protocol.Description(
            **state, name=frames.name, project=document.header.id, video=session.video_id, frames=frames.count,
            size=frames.size, rate=float(frames.source.rate),
            timeline=document.timeline(),  # later than the state: pages expect no older marks
            models=[*loader.models] if loader else [], model=loader.chosen if loader else "",
            segmenters=[*session.prompter.segmenters], segmenter=session.prompter.chosen,
            repeatable_actions=REPEATABLE_ACTIONS, job=job.report() if job is not None else None,
            cut_off=find_cut_off(document.snapshot) if job is None else None,
            read_only=bool(document.read_only_warning),
            problems=[*filter(None, [document.read_only_warning, document.tracked_again_warning])],
        )  # fmt: skip


class Segment(SessionAction, frozen=True):
    """Segment the object at a box, clicks or a scribble, and draw its mask."""

    frame: int
    object_id: int | None
    """The object; None: a new one."""
    box: Box | None = None
    positive: Clicks | None = None
    negative: Clicks | None = None
    scribble: Clicks | None = None
    """Points of a line on the object."""
    mode: PromptMode = "replace"
    """Whether to replace the mask, to add to it, or to decide by the place of the prompt."""
    keep_others: bool = False
    """Whether other objects keep their tracked pixels too, not only the drawn ones."""

    def run(self, session: Session) -> EditResult:
        document, frame = session.document, self.frame
        prompts = PromptInput(self.box, self.positive or [], self.negative or [], self.scribble or [])
        labels = document.snapshot.labels(frame)
        visible_mask = labels == self.object_id if self.object_id is not None else np.zeros(labels.shape, bool)
        change = choose_change(visible_mask, self.object_id, prompts, self.mode)
        if change.object_id is not None:
            editing.require_editable(document, change.object_id)
        return draw_prompted(document, session.prompter, frame, change, prompts, keep_others=self.keep_others)


class PreviewShape(SessionAction, frozen=True):
    """Return outlines of the mask that ``reshape`` would make."""

    frame: int
    object_id: int
    shape: Shape
    radius: Reach

    def run(self, session: Session) -> list[Outline]:
        snapshot = session.document.snapshot
        mask = snapshot.labels(self.frame) == snapshot.find_object(self.object_id).id
        return find_outlines(editing.reshape_mask(mask, self.shape, self.radius))


class ListCorners(SessionAction, frozen=True):
    """Return the outer outlines of an object's mask as polygons, which ``move_corners`` changes."""

    frame: int
    object_id: int

    def run(self, session: Session) -> list[list[Point]]:
        snapshot = session.document.snapshot
        return find_corners(snapshot.labels(self.frame) == snapshot.find_object(self.object_id).id)


class SetModel(SessionAction, frozen=True):
    """Choose the model of the next jobs, of all clips of a batch; raise `InputError` if it is not offered."""

    name: str

    def run(self, session: Session) -> None:
        if session.loader is None:
            raise InputError(f"model {self.name[:40]!r}: this session offers no choice of models")
        session.loader.choose(self.name)


class SetSegmenter(SessionAction, frozen=True):
    """Choose the segmenter of prompts, of all clips of a batch; raise `InputError` if it is not offered."""

    name: str

    def run(self, session: Session) -> None:
        session.prompter.choose(self.name)


class Track(SessionAction, frozen=True):
    """Start a job with the arguments of `plan_request`; raise `InputError` if they are invalid, or a job runs.

    Raises `UnfinishedError` if it would replace reshaped masks.
    """

    frame: int
    direction: Direction = "forward"
    first: int = 0
    last: int | None = None
    object_id: int | None = None
    force: bool = False
    """Replace reshaped masks."""

    def run(self, session: Session) -> JobProgress:
        snapshot = session.document.snapshot
        request = self.frame, self.direction, self.first, self.last, self.object_id
        if not self.force and (frames := list_replaced_reshapes(snapshot, plan_request(snapshot, *request))):
            lost = f"Tracking replaces the reshaped masks of {format_count(len(frames), 'frame')}"
            raise UnfinishedError(f"{lost}; mark frames as checked to keep them. Track anyway?")
        return session.runner.start(*request).report()


class Pause(SessionAction, frozen=True):
    """Pause the running job; raise `InputError` if none is running."""

    def run(self, session: Session) -> None:
        session.require_job("pause").pause()


class Resume(SessionAction, frozen=True):
    """Continue a paused job; raise `InputError` if no job is running."""

    def run(self, session: Session) -> None:
        session.require_job("resume").resume()


class Stop(SessionAction, frozen=True):
    """Stop the running job and keep its results; raise `InputError` if none is running."""

    def run(self, session: Session) -> None:
        session.require_job("stop").stop()


class ListFramesToCheck(SessionAction, frozen=True):
    """Return the frames with the worst `MAX_CHECKS` checks, worst first, except those marked as checked."""

    def run(self, session: Session) -> list[protocol.FrameToCheck]:
        snapshot = session.document.snapshot
        frames = dict[int, dict[int, list[str]]]()
        for check in list_checks(snapshot)[:MAX_CHECKS]:
            frames.setdefault(check.frame, {}).setdefault(check.object_id, []).append(check.description)
        frames_to_check = []
        for frame, reasons in frames.items():
            sentences = [f"{snapshot.objects[key].name} {', '.join(texts)}" for key, texts in reasons.items()]
            frames_to_check.append(protocol.FrameToCheck(frame, list(reasons), "; ".join(sentences)))
        return frames_to_check


class Export(SessionAction, frozen=True):
    """Replace the last export in the project's folder by the masks of a range of frames; see `Session.archive`."""

    names: list[str]
    """Outputs."""
    first: int = 0
    last: int | None = None
    force: bool = False
    """Export outdated frames as they are."""
    key: int | None = None
    """Random number by which ``cancel_export`` cancels the export."""
    options: list[str] = []  # noqa: RUF012
    """Names of the switches of outputs that are on, such as ``refine_edges``."""

    def run(self, session: Session) -> protocol.ExportResult:
        document, names, archive = session.document, self.names, session.archive
        start, end = document.snapshot.editable_range
        last = end if self.last is None else self.last
        if not (frames := range(max(self.first, start), min(last, end) + 1)):
            remedy = f"give a range within {start} to {end}, with the smaller number first"
            raise InputError(f"export: no frames from {self.first} to {last}; {remedy}")

        def report(done: int, total: int) -> None:
            document.emit(protocol.ExportEvent(done, total))
            session.require_not_canceled(self.key)

        with session.exporting():
            session.require_not_canceled(self.key)
            with document.lock:
                if not self.force:
                    session.require_finished(frames[0], frames[-1])
                snapshot, record = snapshot_for_export(document, frames[0], frames[-1])
            with stage_files(archive.parent) as staging:
                entries, _ = export_masks(
                    document.frames, snapshot, staging, names, first=frames[0], last=frames[-1],
                    schema=document.schema, options=dict.fromkeys(names, dict.fromkeys(self.options, True)),
                    on_frame=report,
                )  # fmt: skip
                add_record(staging, record, archive=archive.name)
        unclassed = sum(not item.class_name for item in snapshot.objects.values())
        writers = {
            name: aotlab_video.find_mask_writer(name) for name in names if name in aotlab_video.list_mask_formats()
        }
        has_attributes = not snapshot.objects.keys().isdisjoint(snapshot.state.attributes)
        without_attributes = [name for name, item in writers.items() if has_attributes and not item.attributes]
        return protocol.ExportResult(archive.name, len(frames) - len(entries), unclassed, without_attributes)


class CancelExport(SessionAction, frozen=True):
    """Stop the export with this key, even if it has not begun; it leaves no file."""

    key: int

    def run(self, session: Session) -> None:
        session.cancel_export(self.key)


ACTIONS = {str(kind.__struct_config__.tag): kind for kind in (*Edit.__subclasses__(), *SessionAction.__subclasses__())}
"""All actions by name."""
REPEATABLE_ACTIONS = [
    name for name, kind in ACTIONS.items() if issubclass(kind, Edit) or kind in (Undo, Redo, SetDone, Segment)
]
"""Actions that need no connection, and whose message may arrive again."""
_ActionUnion: Any = Union[tuple(ACTIONS.values())]  # noqa: UP007


def run_on_target(session: Session, message: dict[str, Any], origin: Origin, targets: Targets) -> Any:
    """Carry out an action as `run_action` does, on the object that the message names as its ``target``.

    The first message with this name creates the object; a prompt away from it names a new one. After it is merged,
    messages are for the other object; after it is deleted, the next message creates a new object.
    """
    target = str(message.pop("target", ""))
    if target in targets and "object_id" in message:
        message["object_id"] = targets[target]
    result = run_action(session, message, origin)
    if target and message["do"] in ("delete_object", "merge_objects"):
        targets[target] = message.get("into")
    elif target and isinstance(result, EditResult):
        targets[target] = result.object_id
    return result


def run_action(session: Session, message: dict[str, Any], origin: Origin = NO_ORIGIN) -> Any:
    """Carry out the action ``do`` of a message; return its result. A message id that was used is not carried out again.

    Raises `InputError` for an unknown action or field, or a value of another type.
    """
    action, document = decode_action(message), session.document
    frame = getattr(action, "frame", None)
    if frame is not None:
        require_frame(frame, document.frames.count)
    before = document.log.head
    with document.once_per_message(msgspec.structs.replace(origin, action=message["do"])) as step:
        if step is None:
            result = action.run(document) if isinstance(action, Edit) else action.run(session)
        else:
            stored = document.log.steps[step].result if step else None
            result_type = get_type_hints(action.run)["return"]
            result = None if stored is None else msgspec.convert(stored, result_type, str_keys=True)
    if document.log.head != before:
        session.runner.stop_if_invalid()
    return result


def decode_action(message: dict[str, Any]) -> Edit | SessionAction:
    """Return the action of a message, whose ``id`` is ignored; raise `InputError` for an unusable one."""
    name, fields = message.get("do"), {key: value for key, value in message.items() if key != "id"}
    if not isinstance(name, str) or name not in ACTIONS:
        raise InputError(f"do {str(name)[:40]!r}: no such action; give one of {', '.join(ACTIONS)}")
    try:
        return msgspec.convert(fields, _ActionUnion)  # type: ignore[no-any-return]
    except (msgspec.ValidationError, OverflowError) as error:
        if str(error) == "Expected `int`, got `null` - at `$.object_id`":
            raise InputError("Select an object first.") from error
        raise InputError(f"{name}: {str(error).replace('$.', '')}") from error
