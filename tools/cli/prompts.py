"""Options that make masks from boxes and points."""

from __future__ import annotations

import argparse
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from aotlab.configs.files import BUNDLED_CHECKPOINT
from aotlab.tools.cli.options import add_shared
from aotlab.tools.cli.program import option
from aotlab.utils.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from aotlab.engine.segmenters import Segmenter
    from aotlab.engine.video.frame_range import FrameNumbers
    from aotlab.media.prompt import Prompt
    from aotlab.media.video import FrameSource


def add_prompt_options(parser: argparse.ArgumentParser, *, frames: bool = True) -> None:
    """Add ``--box``, ``--point``, ``--not-point`` and ``--segmenter``; with ``frames`` they may name a frame."""
    where = "[FRAME/]ID" if frames else "ID"
    group = parser.add_argument_group("prompts instead of masks")
    for name, values, text in (
        ("--box", "X,Y,W,H|X1:Y1-X2:Y2", "box around an object, in pixels"),
        ("--point", "X,Y", "point on an object; several refine the mask"),
        ("--not-point", "X,Y", "point that is not on the object"),
    ):
        option(group, f"{name} {where}:{values}", text, action="append", default=[])
    add_shared(group, "--segmenter")


def segmenter_of(args: argparse.Namespace, checkpoint: Path = BUNDLED_CHECKPOINT) -> Segmenter:
    """Return the ONNX segmenter, or the prompt network of the checkpoint or else of the bundled model."""
    if args.segmenter is not None:
        from aotlab.engine.segmenters import OnnxSegmenter

        return OnnxSegmenter(*args.segmenter)
    return OwnSegmenter(checkpoint)


class OwnSegmenter:
    """Prompt network of a checkpoint, or of the bundled model; loaded at the first prompt."""

    def __init__(self, checkpoint: Path) -> None:
        self._checkpoint = checkpoint
        self._lock = threading.Lock()
        self._segmenter: Segmenter | None = None

    def __call__(self, frame: np.ndarray, prompts: Mapping[int, Prompt]) -> np.ndarray:
        """Segment objects; see `aotlab.engine.segmenters.Segmenter`."""
        with self._lock:
            if self._segmenter is None:
                self._segmenter = self._load()
        return self._segmenter(frame, prompts)

    def _load(self) -> Segmenter:
        from aotlab.engine.segmenters import NetworkSegmenter
        from aotlab.networks.weights.checkpoints import load_checkpoint

        own = self._checkpoint.suffix == ".safetensors"
        model, config = load_checkpoint(self._checkpoint if own else BUNDLED_CHECKPOINT)
        if model.prompts is None:
            model, config = load_checkpoint(BUNDLED_CHECKPOINT)
        return NetworkSegmenter(model, config.compute.precision)


def save_prompted_masks(
    args: argparse.Namespace, source: FrameSource, numbers: FrameNumbers, first: int
) -> list[str]:
    """Write the masks of boxes and points below ``--output``; return them as values of ``--mask``.

    Args:
        first: index of the first tracked frame, to which prompts without a frame belong.

    Raises:
        InputError: a prompt is invalid or finds no pixel, or the source is a stream.
    """
    if not (args.box or args.point or args.not_point):
        return []
    from aotlab.engine.segmenters import segment_objects
    from aotlab.media.masks import write_mask
    from aotlab.media.prompt import parse_prompts

    if not Path(args.video).is_file() and not Path(args.video).is_dir():
        raise InputError(
            f"{args.video}: --box and --point need a video file or a folder; give --mask for a stream"
        )
    found = parse_prompts(args.box, args.point, args.not_point, first=numbers.number(first))
    prompts = {numbers.index(number): given for number, given in found.items()}
    segmenter = segmenter_of(args, args.checkpoint)
    values = []
    for frame in sorted(prompts):
        image = source.read(frame)
        path = args.output / "given" / f"{frame:05d}.png"
        write_mask(path, segment_objects(image, prompts[frame], segmenter))
        values.append(f"{numbers.number(frame)}:{path}")
    return values
