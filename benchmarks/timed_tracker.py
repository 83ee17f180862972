"""A tracker timed frame by frame, as a `Setting` asks, and comparisons of two."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch

from aotlab.engine.tracker import Tracker
from aotlab.media.drawn_clip import draw_clip
from aotlab.media.video import open_frames
from aotlab.networks.kernels import SETS
from aotlab.networks.kernels.tuning import Tuner
from aotlab.networks.operations import by_rule, use
from aotlab.networks.weights.checkpoints import build_or_load
from aotlab.utils.devices import synchronize
from aotlab.utils.errors import InputError
from aotlab.utils.progress import progress_bar
from benchmarks.baseline import as_published
from benchmarks.machine import Machine, describe_machine
from benchmarks.settings import CLOCKS, Setting

WARM_UP = 3
"""frames after the reference frame that are never timed"""
CLIP_LENGTH = 4
"""frames that are drawn, or read of a video, and repeated"""


class TimedTracker:
    """A tracker with the model and kernels of a setting."""

    def __init__(self, setting: Setting) -> None:
        """Build the model, with its weights or the same random ones each time.

        Raises:
            InputError: unknown preset, setting, checkpoint, kernels or device.
        """
        self.setting = setting
        compute = (
            f"compute.precision={setting.precision}",
            f"compute.compile={str(setting.compile).lower()}",
        )
        overrides = (*setting.overrides, *compute)
        model, config = build_or_load(setting.checkpoint, config=setting.config, overrides=overrides)
        self.tracker = Tracker(model, config, device=setting.device)
        self.tuner = Tuner() if setting.kernels == "tuned" else None
        """tuner that times the kernels again; None unless kernels=tuned"""
        self.frames = list(_frames(setting))
        """frames of the clip, H×W×3 uint8 RGB"""
        try:
            with self.kernels():
                pass
        except ValueError as error:
            raise InputError(f"{setting.title}: {error}") from error

    def start(self) -> None:
        """Track the reference frame and the untimed ones.

        Raises:
            InputError: torch.compile does not work here, or more objects than columns.
        """
        height, width = self.frames[0].shape[:2]
        mask = striped_mask(self.setting.objects, height, width)
        self.tracker.reset()
        try:
            with self.running():
                self.tracker.step(self.frames[0], mask)
            before = max(WARM_UP, self.setting.at_frame)
            for index in range(before):
                # Memory holds the same either way, so only the last frames need the slow parts.
                with self.running(baseline=index >= before - WARM_UP):
                    self.tracker.step(self.frame(index))
        except torch._dynamo.exc.TorchDynamoException as error:
            inside = getattr(error, "inner_exception", error)
            reason = f"{type(inside).__name__}: {inside}".splitlines()[0]
            raise InputError(f"compile: torch.compile does not work here ({reason}); omit it") from error

    def frame(self, index: int) -> np.ndarray:
        """Return a frame after the reference frame, of the clip repeated without that."""
        return self.frames[1 + index % (len(self.frames) - 1)] if len(self.frames) > 1 else self.frames[0]

    def timed_step(self, index: int) -> float:
        """Track frame ``index``; returns the seconds until the device has finished."""
        clock, frame = CLOCKS[self.setting.clock], self.frame(index)
        with self.running():
            synchronize(self.tracker.device)
            begin = clock()
            self.tracker.step(frame)
            synchronize(self.tracker.device)
            return clock() - begin

    @contextmanager
    def running(self, *, baseline: bool = True) -> Iterator[None]:
        """Apply the setting; without ``baseline`` only the parts that hold for a whole video."""
        names = [name for name in self.setting.baseline if baseline or name == "groups"]
        with self.kernels(), as_published(self.tracker, names):
            yield

    @contextmanager
    def kernels(self) -> Iterator[None]:
        """Choose the kernels of the setting."""
        choices: dict[str, Any] = {**SETS, "fixed": by_rule, "tuned": self.tuner}
        with ExitStack() as stack:
            if self.setting.kernels != "chosen":
                stack.enter_context(use(choices[self.setting.kernels]))
            yield


def _frames(setting: Setting) -> Iterator[np.ndarray]:
    if setting.video is not None:
        return islice(open_frames(setting.video), CLIP_LENGTH)
    width, height = setting.size
    return iter(draw_clip(CLIP_LENGTH, height, width, seed=0)[0])


def striped_mask(objects: int, height: int, width: int) -> np.ndarray:
    """Return H×W ids of vertical stripes: background and all objects.

    Raises:
        InputError: more objects than columns.
    """
    if objects >= width:
        raise InputError(
            f"objects: at most {width - 1} are visible in frames {width} pixels wide, got {objects}"
        )
    return np.broadcast_to(np.arange(width) * (objects + 1) // width, (height, width))


@dataclass(frozen=True)
class Comparison:
    """Seconds per frame of A and B, by pairs of frames that ran one after the other."""

    first: str
    second: str
    """titles of A and B"""
    first_seconds: tuple[float, ...]
    second_seconds: tuple[float, ...]
    machine: Machine

    @property
    def medians(self) -> tuple[float, float]:
        """Seconds of A and B."""
        return statistics.median(self.first_seconds), statistics.median(self.second_seconds)

    @property
    def ratio(self) -> float:
        """A's seconds over B's: the median over pairs. Above 1, B is faster."""
        return float(np.median(self._ratios))

    @property
    def spread(self) -> tuple[float, float]:
        """10th and 90th percentile of the ratio over pairs."""
        low, high = np.percentile(self._ratios, [10, 90])
        return float(low), float(high)

    def as_dict(self) -> dict[str, Any]:
        """Return all of it for JSON."""
        return {**asdict(self), "medians": self.medians, "ratio": self.ratio, "spread": self.spread}

    @property
    def _ratios(self) -> np.ndarray:
        return np.array(self.first_seconds) / np.array(self.second_seconds)


def in_turn(
    first: Callable[[int], float], second: Callable[[int], float], pairs: int, *, progress: bool = False
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the seconds of two functions of an index, called in the order A B B A A B B A ..."""
    seconds: tuple[list[float], list[float]] = ([], [])
    with progress_bar(pairs, unit="pair", shown=progress) as bar:
        for index in range(pairs):
            for which in (0, 1) if index % 2 == 0 else (1, 0):
                seconds[which].append((first, second)[which](index))
            bar.update()
    return tuple(seconds[0]), tuple(seconds[1])


def compare(first: TimedTracker, second: TimedTracker, *, progress: bool = False) -> Comparison:
    """Time two trackers frame by frame in turn, so that other load of the machine slows both.

    As many frames are timed as the setting with fewer says.
    """
    for run in (first, second):
        run.start()
    pairs = min(first.setting.frames, second.setting.frames)
    seconds = in_turn(first.timed_step, second.timed_step, pairs, progress=progress)
    return Comparison(
        first.setting.title, second.setting.title, *seconds, describe_machine(first.tracker.device)
    )
