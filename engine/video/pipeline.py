"""The two threads around the tracker: one reads frames ahead, one writes results behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Generator, Sequence
from contextlib import suppress

import numpy as np

from aotlab.dataloaders.video import FrameSource
from aotlab.engine.video.channel import Channel
from aotlab.engine.video.outputs import Output, Tracked
from aotlab.utils.errors import InputError

AHEAD, BEHIND = 4, 2
"""Frames that wait to be tracked, and to be written, at most."""

Numbered = tuple[int, np.ndarray]
"""a frame's number and its picture"""


class ReadAhead:
    """Frames of a source, decoded in a thread of their own.

    Args:
        source: the frames.
        stop: when set, iteration ends.
        patience: seconds without a frame after which a source counts as stalled.
        realtime: throw away frames that there was no time for; a source that is not live is read at its own rate.
        keep: numbers of frames that are never thrown away.
    """

    def __init__(
        self,
        source: FrameSource,
        stop: threading.Event,
        patience: float,
        *,
        realtime: bool = False,
        keep: Collection[int] = (),
    ) -> None:
        self._source, self.stop, self._patience = source, stop, patience
        self._realtime, self._keep = realtime, keep
        self._channel: Channel[Numbered] = Channel(1 if realtime else AHEAD)
        # a reader that hangs in a system call must not keep the program alive
        self._thread = threading.Thread(target=self._read, name="reader", daemon=True)

    @property
    def dropped(self) -> int:
        """Frames that there was no time for."""
        return self._channel.dropped

    def __iter__(self) -> Generator[Numbered, None, None]:
        """Yield number and picture; raises what the source raises, and `InputError` when it stalls."""
        self._thread.start()
        try:
            while (item := self._channel.take(self._patience, self.stop)) is not None:
                yield item
        except TimeoutError as error:
            raise InputError(
                f"{self._source.name}: no frame for {self._patience:g} seconds; "
                "check the source, or wait longer with --timeout"
            ) from error
        finally:
            self._channel.close()
            self._thread.join(1.0)

    def _read(self) -> None:
        start = time.monotonic()
        try:
            for index, frame in enumerate(self._source):
                if self._realtime and not self._source.live:
                    time.sleep(max(0.0, start + float(self._source.time(index)) - time.monotonic()))
                if self._realtime:
                    more = self._channel.put_newest((index, frame), lambda item: item[0] in self._keep)
                else:
                    more = self._channel.put((index, frame))
                if not more:
                    break
            self._channel.end()
        except BaseException as error:
            self._channel.end(error)


class WriteBehind:
    """Outputs that are written in a thread of their own, so that the tracker need not wait for them."""

    def __init__(self, outputs: Sequence[Output], source: FrameSource) -> None:
        self.frames = 0
        """frames that all outputs have taken"""
        self.last = -1
        """number of the last of them in their source"""
        self.error: BaseException | None = None
        self._outputs, self._source = outputs, source
        self._channel: Channel[Tracked] = Channel(BEHIND)
        self._thread = threading.Thread(target=self._write, name="writer", daemon=True)
        self._thread.start()

    def put(self, tracked: Tracked) -> bool:
        """Hand over a frame; False once the outputs cannot be written any more."""
        return self._channel.put(tracked)

    def finish(self) -> list[Output]:
        """Wait for all that was handed over and complete the outputs; those that could not be are left out.

        What goes wrong is in ``error``.
        """
        self._channel.end()
        self._thread.join()
        done = []
        for output in self._outputs:
            try:
                output.finish()
                done.append(output)
            except Exception as error:
                self.error = self.error or error
        return done

    def drop(self) -> None:
        """Stop at once and leave no half file."""
        self._channel.close()
        self._channel.end()
        self._thread.join()
        for output in self._outputs:
            with suppress(Exception):
                output.drop()

    def _write(self) -> None:
        try:
            while (tracked := self._channel.take()) is not None:
                name = self._source.stem(tracked.index)
                for output in self._outputs:
                    output.write(name, tracked)
                self.frames, self.last = self.frames + 1, tracked.index
        except BaseException as error:
            self.error = error
            self._channel.close()
