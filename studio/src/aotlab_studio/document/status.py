"""Status of a video: what a person has decided, as long as it shows the same masks and objects."""

from __future__ import annotations

from typing import NamedTuple

from aotlab_studio.document.log import FINAL_STATUSES, Log, VideoStatus, digest_values
from aotlab_studio.document.snapshot import Snapshot


class Status(NamedTuple):
    """Status of a video."""

    value: VideoStatus
    note: str
    author: str
    """who set it, or made the last edit that has made it *in progress*; empty: unknown"""


def digest_content(snapshot: Snapshot) -> str:
    """Return a digest of the masks and objects that a status is for."""
    return digest_values(snapshot.digest, snapshot.objects_digest)


def find_status(log: Log, snapshot: Snapshot, new_results: str) -> Status:
    """Return the status: the last one set if exports are the same since, and no other frame is outdated.

    Args:
        snapshot: what shows now.
        new_results: digest of results on disk that the document does not show, to which no earlier status applies.
    """
    record, edit = log.status, log.entries.get(log.head)
    editor = edit.author if edit is not None else ""
    if record is None:
        return Status("in progress" if log.edited else "open", "", editor)
    is_valid = record.digest == digest_content(snapshot) and new_results in ("", record.results)
    if is_valid and record.status in FINAL_STATUSES:
        known = {index for first, last in record.outdated for index in range(first, last + 1)}
        ranges = snapshot.list_outdated()
        is_valid = all(known.issuperset(range(first, last + 1)) for first, last in ranges)
    return (
        Status(record.status, record.note, record.author) if is_valid else Status("in progress", "", editor)
    )
