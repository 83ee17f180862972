"""Record of a tracked video in the folder of its results, which owns what their files do not all state."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aotlab.utils.versioned_json import load_record, save_record

RECORD_FILE = ".track.json"
"""name of the record in a folder of results"""


@dataclass
class JobRecord:
    """The result of a job."""

    name: str
    video: str = ""
    input_digest: str = ""
    """digest of the inputs of its results"""
    frames: int = 0
    seconds: float = 0.0
    """seconds spent in the tracker"""
    rate: str = "24"
    """frame rate of the video"""
    error: str | None = None
    """error message; None on success"""
    written: list[str] = field(default_factory=list)
    """outputs relative to the job's folder; once it has ended, the completed ones"""
    outputs: list[str] = field(default_factory=list)
    """files and folders of this and earlier runs in the folder, complete or not, which another run may replace"""
    first_frame: int = 0
    """index of the first tracked frame"""
    last_frame: int | None = None
    """index of the last frame to track; None: unknown"""
    masks: list[str] = field(default_factory=list)
    """masks, as in `Job.masks`; once its video was opened, with frame indices for FRAME"""
    class_names: dict[int, str] = field(default_factory=dict)
    """class by object id, whatever the outputs can state; an export of corrected masks replaces it"""
    levels: str | None = None
    """levels, as in `Job.levels`"""
    fingerprint: dict[str, Any] = field(default_factory=dict)
    """identity of the video's content, of `compute_fingerprint`; empty for a stream"""
    video_name: str = ""
    """`FrameSource.name` of the video; empty: unknown"""

    def __post_init__(self) -> None:
        self.class_names = {int(key): name for key, name in self.class_names.items()}  # JSON has texts


def read_job_record(folder: Path) -> JobRecord | None:
    """Return the record of the job whose results are in a folder; None without one, or if it is damaged."""
    return load_record(folder / RECORD_FILE, JobRecord)


def write_job_record(folder: Path, record: JobRecord) -> None:
    """Replace the record in a folder of results; raises `InputError` if it cannot be written."""
    save_record(folder / RECORD_FILE, record)
