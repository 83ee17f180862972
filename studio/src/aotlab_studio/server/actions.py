"""Actions of the page. The parameters of an action are the fields of its message, checked by their types.

``scripts/page_types.py`` writes messages, results and events as TypeScript for the page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import Parameter, signature
from typing import Any, get_type_hints

import msgspec

from aotlab import InputError
from aotlab.sdk import LostFlags, find_output, list_outputs
from aotlab_studio.project import editing, versions
from aotlab_studio.project.state import State
from aotlab_studio.protocol import Choice, Description, Direction, JobProgress
from aotlab_studio.server.session import Session
from aotlab_studio.tracking.planning import TrackRequest, find_stale_ranges


def describe(session: Session) -> Description:
    """Return all that a page needs when it opens."""
    state, kinds = session.state, {name: find_output(name) for name in list_outputs()}
    with state.lock:
        return Description(
            name=state.frames.name,
            video=session.video_id,
            frames=state.frames.count,
            size=state.frames.size,
            rate=float(state.frames.rate),
            live=session.live is not None,
            batch=session.results is not None,
            status=state.project.status,
            note=state.project.note,
            objects=list(state.objects),
            strips=strips(state),
            revision=state.revision,
            outputs=[Choice(name, f"{kind.file_name}: {kind.description}") for name, kind in kinds.items()],
            tracker=session.choice.describe(),
            history=state.history.titles,
            stale=find_stale_ranges(state),
            job=session.job.report() if session.job is not None and session.job.alive else None,
        )


UNKNOWN, KEYFRAME, KEYFRAME_ABSENT, ABSENT, LOST = "-Ggal"
"""characters of a strip; ``0`` to ``9``: tracked with this tenth of confidence"""


def encode_frame_codes(state: State, index: int) -> dict[int, str]:
    """Return the characters of all objects on one frame, without `LOST`."""
    described, scores, confidence = state.list_described(index), state.scores(index), state.confidence(index)
    codes = dict.fromkeys(state.objects.ids, UNKNOWN)
    for object_id in codes:
        score = scores.get(object_id)
        if object_id in described:
            codes[object_id] = KEYFRAME if confidence[object_id] else KEYFRAME_ABSENT
        elif score is not None:
            codes[object_id] = str(min(9, int(score.confidence * 10))) if score.area else ABSENT
    return codes


def strips(state: State) -> dict[int, str]:
    """Return a character per frame for every object; one unseen for some frames is lost, see `LostFlags`."""
    with state.lock:
        rows = {object_id: [UNKNOWN] * state.frames.count for object_id in state.objects.ids}
        lost = LostFlags()
        for index in sorted({*state.keyframes, *state.tracked_frames}):
            codes, confidence = encode_frame_codes(state, index), state.confidence(index)
            confidence |= {
                each: 1.0 for each, code in codes.items() if code in (UNKNOWN, KEYFRAME, KEYFRAME_ABSENT)
            }
            for object_id, is_lost in lost.update(confidence).items():
                rows[object_id][index] = LOST if is_lost else codes[object_id]
    return {object_id: "".join(row) for object_id, row in rows.items()}


def run_action(session: Session, message: dict[str, Any]) -> Any:
    """Carry out the action ``do`` of a message and return its result.

    Raises:
        InputError: unknown action, values of another type, or as the action.
    """
    name = message.get("do")
    if not isinstance(name, str) or name not in ACTIONS:
        raise InputError(f"do {str(name)[:40]!r}: no such action; give one of {', '.join(ACTIONS)}")
    try:
        values = msgspec.structs.asdict(msgspec.convert(message, MESSAGES[name]))
    except (msgspec.ValidationError, OverflowError) as error:
        raise InputError(f"{name}: {str(error).replace('$.', '')}") from error
    if "frame" in values:
        session.state.frames.require_frame(values["frame"])
    action = ACTIONS[name]
    subject = session.state if "state" in signature(action).parameters else session
    propagate = values.pop("propagate", False)
    if action in EDIT_ACTIONS:
        session.runner.stop_background()
    elif action in IDLE_ACTIONS:
        session.runner.require_idle(name.replace("_", " "))
    result = action(subject, **values)
    if propagate:
        session.runner.schedule_propagation(values["frame"])
    elif action in IDLE_ACTIONS:
        session.runner.refresh_queue()
    return result


def track(
    session: Session,
    frame: int,
    direction: Direction = "forward",
    first: int = 0,
    last: int | None = None,
    object_ids: list[int] | None = None,
) -> JobProgress:
    """Start tracking from ``frame`` over frames ``first`` to ``last``, inclusive; None: to the end, and all objects."""
    return session.track(TrackRequest(frame, direction, first, last, object_ids)).report()


def go_live(session: Session, frame: int) -> JobProgress:
    """Track the stream from now on."""
    return session.go_live(frame).report()


def _message(action: Callable[..., Any]) -> type[msgspec.Struct]:
    """Return the type of an action's message: its parameters, and ``propagate`` for an edit."""
    hints = get_type_hints(action, include_extras=True)
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for name, parameter in list(signature(action).parameters.items())[1:]:
        required = parameter.default is Parameter.empty
        fields.append((name, hints[name]) if required else (name, hints[name], parameter.default))
    fields += [("propagate", bool, False)] if action in EDIT_ACTIONS and action not in LOCAL else []
    return msgspec.defstruct(action.__name__, fields, kw_only=True)


EDIT_ACTIONS: Sequence[Callable[..., Any]] = (
    editing.paint, editing.outline, Session.suggest, editing.fill_holes, editing.clear, editing.remove_keyframe,
    editing.split_object, editing.reassign,
)  # fmt: skip
"""actions that change given masks of a frame; ``propagate``: track the change to the next given mask"""
LOCAL: Sequence[Callable[..., Any]] = (editing.clear,)
"""edits of one frame only, which do not propagate"""
IDLE_ACTIONS: Sequence[Callable[..., Any]] = (
    editing.delete_object,
    editing.merge_objects,
    editing.drop_results,
    versions.restore_version,
)
"""actions that are refused while a job runs"""
OTHER_ACTIONS: Sequence[Callable[..., Any]] = (
    describe, Session.preview, editing.add_object, editing.change_object, Session.set_tracker, track,
    Session.take_frame, go_live, Session.pause, Session.resume, Session.stop, Session.undo, Session.redo,
    Session.review, strips, Session.export, Session.cancel_export, Session.export_clips,
    Session.set_status, versions.list_versions, versions.keep_version,
)  # fmt: skip
ACTIONS = {action.__name__: action for action in (*EDIT_ACTIONS, *IDLE_ACTIONS, *OTHER_ACTIONS)}
"""actions by name; the first parameter of each is the session or its state"""
MESSAGES = {name: _message(action) for name, action in ACTIONS.items()}
"""message type of each action"""
