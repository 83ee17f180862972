"""Result of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from aotlab_video.sources.levels import Levels


@dataclass(frozen=True)
class TrackResult:
    """Result of a run: the written outputs, and the reason if it stopped early."""

    frames: int = 0
    """Number of frames in the results."""
    seconds: float = 0.0
    """Seconds from the first frame to the last stored one, without loading the model."""
    written: dict[str, Path] = field(default_factory=dict)
    """Masks and completed outputs by name; after an early stop they hold the frames until then."""
    summaries: tuple[str, ...] = ()
    """Lines that summarize the outputs, from `Output.finish`."""
    reused: bool = False
    """Whether finished results were reused and nothing was tracked."""
    rendered: tuple[str, ...] = ()
    """Names of the outputs that were written after tracking."""
    restored_frames: int = 0
    """Number of frames that an earlier, interrupted run had tracked."""
    dropped_frames: int = 0
    """Number of frames dropped to keep up."""
    damaged_frames: tuple[int, ...] = ()
    """Indices of damaged frames concealed by the decoder."""
    corrupt_packets: int = 0
    """Number of undecodable packets of a stream."""
    cuts: tuple[int, ...] = ()
    """Numbers of the first frames after cuts, if ``rules.cuts`` is set."""
    ended_ids: tuple[int, ...] = ()
    """Ids of the objects that are not visible on one of them, as those that ``rules.after_cut`` has hidden."""
    levels: Levels | None = None
    """Intensities shown as black and white; None: images are shown as stored."""
    signal_number: int | None = None
    """Number of the signal that stopped the run, if one did."""
    resumable: bool = False
    """Whether another run with the same inputs resumes after an early stop."""
    error: str | None = None
    """Reason for an early stop or missing outputs; None on success."""

    @property
    def interrupted(self) -> bool:
        """Whether a signal stopped the run."""
        return self.signal_number is not None

    @property
    def status(self) -> Literal["unfinished", "failed", "done"]:
        """Status in the record of the run."""
        return "unfinished" if self.interrupted else "failed" if self.error else "done"

    @property
    def frames_per_second(self) -> float:
        """Frames tracked per second; 0 without frames."""
        return (self.frames - self.restored_frames) / self.seconds if self.seconds > 0 else 0.0

    @property
    def speed(self) -> str:
        """Frames tracked per second, or seconds per frame if one takes longer than a second, as text."""
        rate = self.frames_per_second
        return f"{1 / rate:.1f} seconds per frame" if 0 < rate < 1 else f"{rate:.1f} frames per second"
