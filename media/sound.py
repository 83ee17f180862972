"""Sound of a source, copied into output videos."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import av

log = logging.getLogger(__name__)

COPIED = ("aac", "mp3", "mp3float", "ac3", "eac3", "alac", "opus", "libopus", "flac")
"""decoders of sound that MP4 stores unchanged; others are encoded as AAC"""
END = Fraction(10**9)
"""time in seconds later than any sound"""


@dataclass(frozen=True)
class Sound:
    """Location of the sound of frames."""

    path: Path
    """file with the sound, of which the first stream is used"""
    start: Fraction
    """time of the first frame by the file's clock, in seconds"""


def copy_sound(sound: Sound, target: av.container.OutputContainer, begin: Fraction) -> SoundCopy | None:
    """Open a `SoundCopy`; None if the source is broken, so that the video is written without sound."""
    import av

    try:
        source = av.open(str(sound.path), metadata_errors="replace")
        if source.streams.audio:
            return SoundCopy(sound, source, target, begin)
    except (av.FFmpegError, OSError, ValueError) as error:
        log.warning("%s: its sound is left out (%s)", sound.path, error)
    return None


class SoundCopy:
    """Copies sound into a video while it is written; sound that MP4 cannot store is encoded again.

    Args:
        sound: sound of the source.
        source: opened file of the source.
        target: opened output video, to which nothing was written yet.
        begin: seconds from the source's first frame to that of the target.
    """

    def __init__(
        self,
        sound: Sound,
        source: av.container.InputContainer,
        target: av.container.OutputContainer,
        begin: Fraction,
    ) -> None:
        self._path, self._begin = sound.path, sound.start + begin
        self._source = source
        self._heard: Any = self._source.streams.audio[0]
        self._target: Any = target
        self._copied = self._heard.codec_context.name in COPIED
        if self._copied:
            self._stream = self._target.add_stream_from_template(self._heard)
        else:
            self._stream = self._target.add_stream(
                "aac", rate=self._heard.rate, layout=self._heard.layout.name
            )
        self._pieces = self._parts()
        self._done = Fraction(-1)  # written seconds
        if begin:
            self._source.seek(int(self._begin * 1_000_000))  # microseconds, of any stream

    def until(self, seconds: Fraction) -> None:
        """Write the sound up to this time of the target; it ends where the source is broken."""
        while self._done < seconds:
            self._done = next(self._pieces, END)

    def finish(self, seconds: Fraction) -> None:
        """Write the rest up to the end of the video."""
        self.until(seconds)
        if not self._copied:
            self._target.mux(self._stream.encode(None))

    def close(self) -> None:
        """Close the source."""
        self._pieces.close()
        self._source.close()

    def _parts(self) -> Generator[Fraction, None, None]:
        """Write packets, or frames as packets, and yield the time of each before."""
        parts = self._source.demux(self._heard) if self._copied else self._source.decode(self._heard)
        for part in self._whole(parts):
            if part.pts is None or (self._copied and part.dts is None):
                continue
            shift = round(self._begin / part.time_base)
            part.pts -= shift
            if part.pts < 0:
                continue
            yield part.pts * part.time_base
            if self._copied:
                part.dts, part.stream = part.dts - shift, self._stream
            self._target.mux(part if self._copied else self._stream.encode(part))

    def _whole(self, pieces: Iterable[Any]) -> Iterator[Any]:
        """Yield the packets of the source up to the first broken one."""
        import av

        try:
            yield from pieces
        except (av.FFmpegError, OSError) as error:
            log.warning("%s: its sound ends at %.1f s, where it does not decode", self._path, self._done)
            log.debug("%s", error)
