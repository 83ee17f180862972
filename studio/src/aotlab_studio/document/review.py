"""Review of a video: who annotates and reviews it, and its status with its history."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from msgspec import Meta

from aotlab import InputError
from aotlab_studio.document import log
from aotlab_studio.document.events import StepInfo
from aotlab_studio.document.log import VideoStatus
from aotlab_studio.document.outdated import list_outdated
from aotlab_studio.document.rules import Acceptance
from aotlab_studio.document.snapshot import Snapshot

if TYPE_CHECKING:
    from aotlab_studio.document.document import Document

FINISHED_STATUSES = ("to review", "accepted")
"""Statuses of videos that the annotator has finished, which must not have outdated frames."""
MAX_NOTE = 500
NoteText = Annotated[str, Meta(max_length=MAX_NOTE)]
PersonName = Annotated[str, Meta(max_length=60)]


class Review:
    """Assignment and status of a document. Only this class stores them; names are those that people type."""

    def __init__(self, document: Document) -> None:
        self._document, self._log = document, document.log

    # Status

    @property
    def status(self) -> log.Status:
        """The last status, or *in progress* after later changes; *to do* before the first edit or status."""
        with self._document.lock:
            record = self._log.status
            if record is not None and self._still_holds(record):
                return log.Status(record.status, record.note, record.author)
            step = self._log.steps.get(self._log.undo_step)
            return log.Status("in progress" if record or step else "to do", "", step.author if step else "")

    @property
    def status_count(self) -> int:
        """Number of statuses so far, by which `set_status` notices one that a person has not seen."""
        return len(self._log.statuses)

    @property
    def digest(self) -> str:
        """Digest of what a status is for: masks and objects or, without edits, the output of `aotlab track`."""
        with self._document.lock:
            if self._log.has_history or self._document.unimported_digest:
                return log.digest_values(self._document.snapshot.content_digest, self._document.output_digest)
            return log.digest_values(self._document.output_digest)  # the same as without a project

    @property
    def rejection(self) -> str:
        """Author and reason of the rejection, as a sentence; empty if the last status is another one."""
        record = self._log.status
        if record is None or record.status != "rejected":
            return ""
        return f"rejected by {record.author or 'somebody'}" + (f": {record.note}" if record.note else "")

    def set_status(
        self,
        status: VideoStatus,
        note: str = "",
        outdated: Iterable[log.FrameRange] = (),
        expected_status_count: int | None = None,
    ) -> None:
        """Store a status, and the outdated frames that the person accepts; see `require_allowed`."""
        document = self._document
        with document.lock:
            self.require_allowed(status, expected_status_count)
            if status in FINISHED_STATUSES:
                document.snapshot.require_intact_masks()
            content = document.snapshot.content_digest
            records: list[log.Record] = [
                log.StatusRecord(status, content, document.output_digest, note, list(outdated))
            ]
            if status in (*FINISHED_STATUSES, "rejected") and document.snapshot.objects:
                records.append(log.VersionRecord(self._log.head, f"{status}: {note}" if note else status))
            document.append(*records)
            document.emit_page_state()

    def list_violations(self) -> list[str]:
        """Return what the schema requires and objects do not have."""
        state = self._document.snapshot.state
        return [str(violation) for violation in self._document.rules.schema.check(state.objects, state.attributes)]

    def list_unanswered(self) -> list[str]:
        """Return what a rejection asked for and nobody has done: it is unchanged; empty otherwise."""
        if not self.rejection:
            return []
        is_same = self.status.value == "rejected"
        return ["Nothing has changed since it was rejected"] * is_same

    def require_allowed(self, status: VideoStatus, expected_status_count: int | None = None) -> None:
        """Raise `InputError` if the actor may not set a status.

        Args:
            expected_status_count: `status_count` when the person looked at the video. Later statuses of other people
                refuse this one; None: they do not.
        """
        if self._document.shared:
            self._document.actor.require_author()
        author = self._document.actor.author
        later = [] if expected_status_count is None else self._log.statuses[expected_status_count:]
        unseen = [record for record in later if not log.is_same_person(record.author, author)]
        if unseen:
            problem = f"{unseen[-1].author or 'somebody'} set it to “{unseen[-1]}” meanwhile"
            raise InputError(f"{self._document.name}: {problem}; look at it, then set the status again")
        if status != "accepted":
            return
        self._document.rules.require_known()
        if violations := self.list_violations():
            raise InputError(f"{self._document.name}: {'; '.join(violations)}; correct it, then accept the video")
        if problem := self.acceptance.find_problem(author):
            raise InputError(f"{self._document.name}: {problem}; choose “to review”")

    def list_history(self) -> list[StepInfo]:
        """Return all statuses and assignments, newest first."""
        return [StepInfo(str(item), item.author, item.time) for item in reversed(self._log.review_records)]

    def _still_holds(self, record: log.StatusRecord) -> bool:
        """Return whether nothing has changed since a status was set; nothing new may be outdated if it is finished."""
        document = self._document
        before, snapshot = document.take_snapshot(self._log.status_step), document.snapshot
        if not snapshot.shows_same(before) or before.content_digest != record.digest:
            return False
        if document.unimported_digest not in ("", record.output_digest):
            return False
        outdated = list_outdated(snapshot) if record.status in FINISHED_STATUSES else []
        known = {index for first, last in record.outdated for index in range(first, last + 1)}
        return all(known.issuperset(range(first, last + 1)) for first, last in outdated)

    # People

    @property
    def assignment(self) -> log.AssignmentRecord:
        return self._log.assignment

    @property
    def annotators(self) -> list[str]:
        """People who have changed masks by steps that are not undone; who hides or names objects has not."""
        names, number = set[str](), self._log.head
        while number:
            step, changes = self._log.steps[number], self._log.steps[number].changes
            if changes.drawn_masks or changes.layers:
                names.add(step.author)
            number = self._log.parents[number]
        return sorted(names - {""})

    @property
    def acceptance(self) -> Acceptance:
        """People who may accept the video, by the rule of its list."""
        rule = self._document.rules.current.accept
        reviewer = self.assignment.reviewer if rule == "reviewer" else ""
        return Acceptance(reviewer, [] if rule == "anyone" else self.annotators)

    def assign(self, annotator: PersonName | None = None, reviewer: PersonName | None = None) -> None:
        """Set who annotates and who reviews the video; an empty name removes one, None keeps it."""
        with self._document.lock:
            old = self.assignment
            names = [
                before if name is None else " ".join(name.split())
                for before, name in ((old.annotator, annotator), (old.reviewer, reviewer))
            ]
            if names != [old.annotator, old.reviewer]:
                self._document.append(log.AssignmentRecord(*names))
                self._document.emit_page_state()


REVIEW_EDITS: Sequence[Callable[..., Any]] = (Review.assign,)
"""Actions of the page that change the review of a video, except its status."""


def flag_unknown_frames(snapshot: Snapshot) -> np.ndarray:
    """Flag the frames of the range to track that are neither drawn nor tracked, N bool."""
    first, last = snapshot.state.ranges.get("track") or snapshot.editable_range
    empty = [key for key, layer in snapshot.state.layers.items() if layer.kind == "empty"]
    unknown = np.ones(snapshot.count, bool)
    for newest in snapshot.newest_layers.values():
        unknown &= np.isin(newest.layer_ids, [0, *empty])
    unknown[snapshot.drawn_frames] = False
    unknown[:first] = unknown[last + 1 :] = False
    return unknown


def describe_gaps(snapshot: Snapshot) -> str:
    """Return how many frames of the range to track have no masks; empty if all have, or without an object."""
    if not snapshot.objects:
        return ""
    first, last = snapshot.state.ranges.get("track") or snapshot.editable_range
    missing = int(flag_unknown_frames(snapshot).sum())
    verb = "has" if missing == 1 else "have"
    return f"{missing} of {last + 1 - first} frames {verb} no masks" if missing else ""
