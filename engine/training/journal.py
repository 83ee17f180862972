"""Training journal: progress on standard error, ``log.jsonl``, and TensorBoard with scalars and sample images."""

from __future__ import annotations

import json
import logging
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.utils import make_grid
from tqdm import tqdm

from aotlab.configs.training import TrainConfig
from aotlab.engine.training.clip import ClipBatch
from aotlab.engine.training.listener import NonFiniteError, StepResult, TrainingListener
from aotlab.engine.training.state import PhaseState
from aotlab.media.overlay import draw_overlay
from aotlab.networks.preprocess import IMAGE_MEAN, IMAGE_STD
from aotlab.utils.errors import describe_missing_module
from aotlab.utils.files import write_text
from aotlab.utils.progress import progress_bar
from aotlab.utils.text import format_count

log = logging.getLogger(__name__)

MAX_CLIPS, MAX_FRAMES, MAX_HEIGHT = 2, 6, 256
"""Largest number of clips and frames in a sample image, and largest height of a frame in pixels."""


class Journal(TrainingListener):
    """``log.jsonl``, ``tensorboard/`` if TensorBoard is installed and, on a terminal, the progress bar of a run.

    Training continues if there is no space left for them.

    Args:
        output: existing folder of the run.
        settings: all phases, over which TensorBoard counts steps, and the intervals of log lines, which hold means, and
            of images.
        is_main: whether this process writes; the journal of any other does nothing.
    """

    def __init__(self, output: Path, settings: TrainConfig, *, is_main: bool) -> None:
        self.log, self.tensorboard = output / "log.jsonl", output / "tensorboard"
        self.settings, self.is_main = settings, is_main
        self.pending: list[dict[str, float]] = []
        """Metrics of the steps since the last log line."""
        self.has_tensorboard = find_spec("tensorboard") is not None
        if is_main and not self.has_tensorboard:
            missing = describe_missing_module("tensorboard")
            log.warning("no TensorBoard, only %s: %s", self.log.name, missing)
        self.board: Any = None
        """TensorBoard's writer."""
        self.bar: Any = None
        """Progress bar of the phase."""

    def phase_begins(self, state: PhaseState) -> None:
        """Show the progress bar; remove log lines of later steps, and log that the phase is resumed."""
        names = [phase.name for phase in self.settings.phases]
        self.name, self.done = state.phase.name, state.step
        self.first = sum(phase.steps for phase in self.settings.phases[: names.index(self.name)])
        if self.is_main:
            drop_later_lines(self.log, names, self.name, state.step)
            if state.resumed_from is not None:
                file = str(state.resumed_from)
                self.log_line({"event": "resumed", "phase": self.name, "step": state.step, "file": file})
                print_line(f"{self.name}: resumed after step {state.step} from {file}")
            if self.board is None and self.has_tensorboard:
                from torch.utils.tensorboard import SummaryWriter

                self.board = SummaryWriter(str(self.tensorboard), purge_step=self.first + state.step + 1)
        is_shown = self.is_main and sys.stderr.isatty()  # `StepPrinter` prints lines elsewhere
        self.bar = progress_bar(state.phase.steps, title=self.name, initial=state.step, enabled=is_shown)

    def step_done(self, state: PhaseState, result: StepResult | NonFiniteError) -> None:
        """Update the bar; log the means of the metrics, an image of the clips, or that the step was skipped."""
        self.done = state.step
        if isinstance(result, NonFiniteError):
            self.log_line({"event": "skipped", "phase": self.name, "step": state.step, "reason": str(result)})
        else:
            metrics = result.metrics
            self.pending.append(metrics)
            self.bar.set_postfix_str(
                f"loss {metrics['loss']:.3f}  iou {metrics['iou']:.3f}  lr {metrics['lr']:.1e}  "
                f"data {metrics['data_seconds']:.2f} s of {metrics['step_seconds']:.2f} s",
                refresh=False,
            )
        if state.is_due(self.settings.log_every):
            self._log_means()
        self.bar.update()
        is_drawn = self.is_main and self.settings.image_every and state.is_due(self.settings.image_every)
        if is_drawn and isinstance(result, StepResult):
            image = draw_clips(result.clip, result.predictions)
            self._write_tensorboard(lambda board: board.add_image("clips", image, self.first + state.step))

    def phase_ends(self, state: PhaseState) -> None:
        """Log the means of the last steps, and close the bar."""
        self._log_means()
        self.bar.close()

    def log_scores(self, step: int, scores: dict[str, float]) -> None:
        """Log J&F, J and F in percent, and print them above the bar."""
        if self.is_main:
            self._log_values("validation", step, scores)
            values = "  ".join(f"{name} {value:.1f}" for name, value in scores.items())
            print_line(f"{self.name}, step {step}: validation {values}")

    def log_line(self, line: dict[str, Any]) -> None:
        """Append the line with the time to ``log.jsonl``, with null for non-finite numbers."""
        if not self.is_main:
            return
        finite = {
            key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in line.items()
        }
        try:
            with self.log.open("a", encoding="utf-8") as file:
                file.write(json.dumps({**finite, "time": time.time()}) + "\n")
        except OSError as error:
            log.warning("%s: a line is missing (%s)", self.log, error.strerror)

    def close(self) -> None:
        """Log the means of the last steps of an interrupted phase, close its bar, and flush TensorBoard."""
        self._log_means()
        if self.bar is not None:
            self.bar.close()
        self._write_tensorboard(lambda board: board.close())

    def _log_means(self) -> None:
        """Log the means of the pending steps, if there are any; IoU over the steps that have one."""
        if self.pending:
            self._log_values("train", self.done, average_metrics(self.pending))
            self.pending = []

    def _log_values(self, group: str, step: int, values: dict[str, float]) -> None:
        """Log values, and write finite ones to TensorBoard."""
        self.log_line({"phase": self.name, "step": step, **values})

        def write(board: Any) -> None:
            for name, value in values.items():
                if math.isfinite(value):
                    board.add_scalar(f"{group}/{name}", value, self.first + step)

        self._write_tensorboard(write)

    def _write_tensorboard(self, write: Callable[[Any], None]) -> None:
        """Call TensorBoard's writer, if it is open; a failure disables it."""
        try:
            if self.board is not None:
                write(self.board)
        except OSError as error:
            self.board = None
            log.warning("%s: no more is written (%s)", self.tensorboard, error.strerror or error)


class StepPrinter(TrainingListener):
    """Lines on standard error for logs without a terminal: progress, means since the last line, expected end.

    Args:
        every: interval between lines in steps; 0: only after the last step of a phase.
    """

    def __init__(self, every: int) -> None:
        self.every = every

    def phase_begins(self, state: PhaseState) -> None:
        """Begin to measure the time."""
        self.pending: list[dict[str, float]] = []
        self.first, self.start = state.step, time.monotonic()

    def step_done(self, state: PhaseState, result: StepResult | NonFiniteError) -> None:
        """Print a line if it is due; the expected end counts validation and saved states."""
        if isinstance(result, StepResult):
            self.pending.append(result.metrics)
        if not state.is_due(self.every):
            return
        words = [f"{state.phase.name}, step {state.step} of {state.phase.steps}:"]
        if self.pending:
            means = average_metrics(self.pending)
            words.append(
                f"loss {means['loss']:.3f}  iou {means['iou']:.3f}  lr {means['lr']:.1e}  "
                f"data {means['data_seconds']:.2f} s of {means['step_seconds']:.2f} s "
            )
        seconds = (time.monotonic() - self.start) / (state.step - self.first)
        end = datetime.now().astimezone() + timedelta(seconds=seconds * (state.phase.steps - state.step))
        print_line(f"{' '.join(words)} ends {end:%Y-%m-%d %H:%M}")
        self.pending = []

    def video_scored(self, state: PhaseState, done: int, total: int) -> None:
        """Print a line after each tenth of the videos, except the last, which the scores follow."""
        if self.every and done < total and done * 10 // total > (done - 1) * 10 // total:
            print_line(f"{state.phase.name}, step {state.step}: validation of {done} of {format_count(total, 'video')}")


def print_line(text: str) -> None:
    """Print a line on standard error, above a progress bar; not after ``--quiet``."""
    if log.isEnabledFor(logging.WARNING):
        tqdm.write(text, file=sys.stderr)


def average_metrics(steps: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the means of the metrics of steps; IoU over the steps that have one, else nan."""
    means = {}
    for name in steps[0]:
        values = [step[name] for step in steps if name != "iou" or not math.isnan(step[name])]
        means[name] = sum(values) / len(values) if values else math.nan
    return means


def drop_later_lines(path: Path, phases: list[str], phase: str, step: int) -> None:
    """Remove the lines after ``step`` of ``phase``, which a resumed run writes again, and an incomplete last line.

    Other lines are kept.
    """
    positions = {name: place for place, name in enumerate(phases)}
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    kept_lines = []
    for raw_line in text.splitlines(keepends=True):
        with suppress(ValueError, TypeError, KeyError):
            line = json.loads(raw_line)
            if (positions[line["phase"]], line["step"]) > (positions[phase], step):
                continue
        if raw_line.endswith("\n"):
            kept_lines.append(raw_line)
    write_text(path, "".join(kept_lines))


def draw_clips(clip: ClipBatch, predictions: list[Tensor]) -> Tensor:
    """Draw the first clips of a batch in two rows each: frames with labels, frames with predicted masks.

    Long clips are shown as evenly spaced frames, including the first and last. ``predictions``: B×H×W labels per frame,
    the reference frame's first. Returns 3×H×W uint8.
    """
    length, batch, _, height, _ = clip.images.shape
    frame_indices = np.linspace(0, length - 1, min(length, MAX_FRAMES)).round().astype(int).tolist()
    tiles = []
    for index in range(min(batch, MAX_CLIPS)):
        for masks in (clip.labels, predictions):
            for frame in frame_indices:
                pixels = clip.images[frame, index].float().cpu().movedim(0, -1)
                pixels = (pixels * torch.tensor(IMAGE_STD) + torch.tensor(IMAGE_MEAN)) * 255
                overlay = draw_overlay(
                    pixels.round().clamp(0, 255).byte().numpy(), masks[frame][index].cpu().byte().numpy()
                )
                tiles.append(torch.from_numpy(overlay).movedim(-1, 0))
    grid = make_grid(tiles, nrow=len(frame_indices), padding=6, pad_value=255)
    if height > MAX_HEIGHT:
        scale = MAX_HEIGHT / height
        grid = F.interpolate(grid[None].float(), scale_factor=scale, mode="area")[0].round().byte()
    return grid
