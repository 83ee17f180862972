"""Damage that a video decoder hides: it fills in what it cannot decode, and says so in FFmpeg's log alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import av

_LISTENING = threading.Lock()
"""FFmpeg has one log level for the whole process"""


def decode_with_damage(
    container: av.container.InputContainer, lost: Callable[[], None] | None = None
) -> Iterator[tuple[av.VideoFrame, bool]]:
    """Yield the decoded frames of the first video stream, and whether the decoder complained about each.

    Args:
        container: where the packets come from.
        lost: called for each packet that does not decode; None: its error is raised.
    """
    import av

    stream = container.streams.video[0]
    if stream.codec_context.name == "h264":
        stream.codec_context.thread_count = 1  # other threads' complaints could not be told apart
    complained: set[int | None] = set()
    for packet in container.demux(stream):
        try:
            with _complaints(stream.codec_context.name) as complaints:
                frames = packet.decode()
        except av.InvalidDataError:
            if lost is None:
                raise
            lost()
            continue
        if complaints:
            complained.add(packet.pts)
        for frame in frames:
            yield frame, frame.pts in complained
            complained.discard(frame.pts)


@contextmanager
def _complaints(codec: str) -> Iterator[list[str]]:
    """Collect what a decoder reports as an error in this thread while the block runs."""
    import av

    found: list[str] = []
    with _LISTENING:
        level, skip = av.logging.get_level(), av.logging.get_skip_repeated()
        av.logging.set_level(av.logging.ERROR)
        av.logging.set_skip_repeated(False)
        try:
            with av.logging.Capture(local=True) as messages:
                yield found
        finally:
            av.logging.set_level(level)
            av.logging.set_skip_repeated(skip)
    found += [text for _, name, text in messages if name == codec]
