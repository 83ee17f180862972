"""A tracker at work as a `Setting` says, one timed frame at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from aotlab.configs.schema import Config
from aotlab.engine.prediction import Prediction
from aotlab.engine.tracker import Tracker
from aotlab.media.drawn_clip import draw_clip
from aotlab.media.video import FrameSource, open_frames
from aotlab.networks.kernels import products
from aotlab.networks.kernels.tuning import Tuner
from aotlab.networks.vos_model import VOSModel
from aotlab.networks.weights.checkpoints import build_or_load
from aotlab.utils.devices import settle
from aotlab.utils.errors import InputError
from aotlab.utils.files import make_folder
from benchmarks.baseline import slow_parts
from benchmarks.settings import CLOCKS, Setting

WARM_UP = 3
"""frames behind the reference frame that are never timed"""
CLIP_LENGTH = 4
"""frames that are drawn, or kept of a video, and shown again and again"""


def build(setting: Setting) -> tuple[VOSModel, Config]:
    """The model of a setting, with its weights or the same random ones every time.

    Raises:
        InputError: unknown preset, setting or checkpoint.
    """
    compute = (f"compute.precision={setting.precision}", f"compute.compile={str(setting.compile).lower()}")
    overrides = (*setting.overrides, *compute)
    return build_or_load(setting.checkpoint, config=setting.config, overrides=overrides)


def write_clip(folder: Path, size: tuple[int, int]) -> FrameSource:
    """Draw frames of ``size`` (width, height) into a folder of JPEGs; returns their reader."""
    make_folder(folder)
    frames, _ = draw_clip(CLIP_LENGTH, size[1], size[0], seed=0)
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{index:05d}.jpg", quality=95)
    return open_frames(folder)


def frames_of(setting: Setting) -> list[np.ndarray]:
    """A few frames H×W×3 uint8 RGB of the setting's video, or drawn ones.

    Raises:
        InputError: the video cannot be read.
    """
    if setting.video is not None:
        return list(islice(open_frames(setting.video), CLIP_LENGTH))
    width, height = setting.size
    return list(draw_clip(CLIP_LENGTH, height, width, seed=0)[0])


def striped_mask(objects: int, height: int, width: int) -> np.ndarray:
    """H×W ids of vertical stripes: background and any number of objects, all of them visible.

    Raises:
        InputError: more objects than columns.
    """
    if objects >= width:
        raise InputError(
            f"objects: at most {width - 1} are seen on frames {width} pixels wide, got {objects}"
        )
    return np.broadcast_to(np.arange(width) * (objects + 1) // width, (height, width))


class TimedTracker:
    """One tracker as a setting says."""

    def __init__(self, setting: Setting) -> None:
        """Build the model; raises InputError for a model, file or device that is not there."""
        self.setting = setting
        model, config = build(setting)
        self.tracker = Tracker(model, config, device=setting.device)
        self.tuner = Tuner() if setting.products == "tuned" else None
        """what times products anew, if the setting says so"""

    def start(self, frames: list[np.ndarray]) -> None:
        """Take in the reference frame, and go on untimed to the first frame to time.

        Raises:
            InputError: a frame of the setting cannot be tracked, as torch.compile does not work here.
        """
        height, width = frames[0].shape[:2]
        mask = striped_mask(self.setting.objects, height, width)
        self.tracker.reset()
        try:
            with self.way():
                self.tracker.step(frames[0], mask)
            before = max(WARM_UP, self.setting.at_frame)
            for index in range(before):
                # What memory holds is the same either way, so only the last ones need to be slow.
                with self.way(slow=index >= before - WARM_UP):
                    self.tracker.step(looped(frames, index))
        except torch._dynamo.exc.TorchDynamoException as error:
            inside = getattr(error, "inner_exception", error)
            reason = f"{type(inside).__name__}: {inside}".splitlines()[0]
            raise InputError(f"compile: torch.compile does not work here ({reason}); leave it out") from error

    def timed_step(self, frame: np.ndarray) -> tuple[float, Prediction]:
        """Track a frame: seconds until the device has done all of it, and its prediction."""
        clock = CLOCKS[self.setting.clock]
        with self.way():
            settle(self.tracker.device)
            begin = clock()
            prediction = self.tracker.step(frame)
            settle(self.tracker.device)
            return clock() - begin, prediction

    @contextmanager
    def way(self, *, slow: bool = True) -> Iterator[None]:
        """The setting's slow parts, for as long as the context lasts; unless ``slow``, only those that began before."""
        with ExitStack() as stack:
            if self.setting.products == "fixed":
                stack.enter_context(products.use(products.by_rule))
            elif self.tuner is not None:
                stack.enter_context(products.use(self.tuner))
            elif self.setting.products != "chosen":
                stack.enter_context(products.use(self.setting.products))
            names = [name for name in self.setting.slow if slow or name == "groups"]
            stack.enter_context(slow_parts(self.tracker, names))
            yield


def looped(frames: list[np.ndarray], index: int) -> np.ndarray:
    """The frame of an index behind the reference frame, of a clip that is shown again and again without it."""
    return frames[1 + index % (len(frames) - 1)] if len(frames) > 1 else frames[0]
