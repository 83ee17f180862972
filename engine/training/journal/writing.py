"""Training logs: progress bar, log lines, TensorBoard, sample images and a plot."""

from __future__ import annotations

import logging
import math
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor
from tqdm import tqdm

from aotlab.engine.training.clip_training import ClipBatch
from aotlab.engine.training.journal.images import clip_image, save_image
from aotlab.engine.training.journal.log_lines import append_line, drop_later_lines, phase_starts, read_lines
from aotlab.engine.training.journal.plot import draw_curves
from aotlab.utils.errors import InputError
from aotlab.utils.progress import progress_bar

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

log = logging.getLogger(__name__)

IMAGES_KEPT = 8
"""number of newest images kept in the output folder; TensorBoard keeps all"""


@dataclass(frozen=True)
class StepMeasures:
    """Measures of one optimiser step."""

    step: int
    """number of steps in the phase, including this one"""
    loss: float
    reference_loss: float
    """loss on reference frames"""
    tracked_loss: float
    """loss on the other frames"""
    iou: float
    """mean IoU of tracked objects, 0 to 1; nan without objects"""
    lr: float
    encoder_lr: float
    gradient_norm: float
    """norm of the gradient before clipping"""
    data_seconds: float
    """seconds spent waiting for data"""
    step_seconds: float
    """seconds of the whole step, including waiting"""


@dataclass
class PhaseProgress:
    """Current phase with its progress bar and unlogged steps."""

    name: str
    steps: int
    bar: tqdm
    pending: list[StepMeasures] = field(default_factory=list)
    """steps since the last log line"""
    logged: bool = False


class Journal:
    """``log.jsonl``, ``tensorboard/``, ``images/`` and ``curves.png`` of a run.

    Args:
        output: existing folder of the run.
        lead: whether this process writes; the journal of any other does nothing.
        log_every: interval between log lines in steps; a line holds means.
    """

    def __init__(self, output: Path, *, lead: bool, log_every: int = 20) -> None:
        self.output, self.lead, self.log_every = output, lead, log_every
        self.log = output / "log.jsonl"
        if lead:
            self.log.touch()
        self.starts: dict[str, int] = {}
        self.progress: PhaseProgress | None = None
        self.board: SummaryWriter | None = None
        self.board_missing = False
        self._hook = threading.excepthook

    @contextmanager
    def phase(self, name: str, steps: int, done: int) -> Iterator[None]:
        """Show the bar of a phase of which ``done`` steps were run before; later log lines are removed.

        Raises:
            InputError: the log cannot be written.
        """
        if not self.lead:
            yield
            return
        drop_later_lines(self.log, name, done)
        # Steps of earlier phases are known from the log.
        self.starts = phase_starts([*read_lines(self.log), {"phase": name, "step": done}])
        self._open_board(self.starts[name] + done + 1)
        with progress_bar(steps, title=name, done=done) as bar:
            self.progress = PhaseProgress(name, steps, bar)
            try:
                yield
            finally:
                self._write_means(self.progress)
                self.progress = None

    def step(self, measures: StepMeasures) -> None:
        """Update the bar; log the means of the measures every ``log_every`` steps."""
        if not self.lead:
            return
        progress = self.progress
        if progress is None:
            raise ValueError("a step was measured outside of Journal.phase")
        progress.pending.append(measures)
        due = measures.step % self.log_every == 0 or measures.step == progress.steps
        if due or not progress.logged:
            progress.bar.set_postfix_str(_postfix(_means(progress.pending)), refresh=False)
        if due:
            self._write_means(progress)
        progress.bar.update()

    def scores(self, phase: str, step: int, scores: dict[str, float]) -> None:
        """Log J&F, J and F in percent, print them above the bar and redraw the curves."""
        if not self.lead:
            return
        self.note({"phase": phase, "step": step, **scores})
        self._add_scalars("validation", phase, step, scores)
        values = "  ".join(f"{name} {value:.1f}" for name, value in scores.items())
        tqdm.write(f"{phase}, step {step}: validation {values}", file=sys.stderr)
        self._draw()

    def images(self, step: int, clip: ClipBatch, predictions: list[Tensor]) -> None:
        """Write clips with labels and ``predictions``, B×H×W per frame, to ``images/`` and TensorBoard."""
        if not self.lead:
            return
        if self.progress is None:
            raise ValueError("images were given outside of Journal.phase")
        phase, image = self.progress.name, clip_image(clip, predictions)
        path = self.output / "images" / f"{phase}_{step:07d}.jpg"
        try:
            save_image(image, path, keep=IMAGES_KEPT)
        except (InputError, OSError) as error:
            log.warning("%s", error)
        with self._tensorboard() as board:
            if board is not None:
                board.add_image("clips", image, self.starts[phase] + step, dataformats="HWC")

    def note(self, line: dict[str, Any]) -> None:
        """Append the line with the time to ``log.jsonl``; a failure does not stop training."""
        if not self.lead:
            return
        try:
            append_line(self.log, {**line, "time": time.time()})
        except OSError as error:
            log.warning("%s: a line is missing (%s)", self.log, error.strerror)

    def close(self) -> None:
        """Flush TensorBoard and draw ``curves.png``."""
        if not self.lead:
            return
        with self._tensorboard() as board:
            if board is not None:
                board.close()
        self.board = None
        if threading.excepthook == self._on_error_of_thread:
            threading.excepthook = self._hook
        self._draw()

    def _write_means(self, progress: PhaseProgress) -> None:
        """Log the means of the pending steps, if there are any."""
        if not progress.pending:
            return
        step, means = progress.pending[-1].step, _means(progress.pending)
        self.note({"phase": progress.name, "step": step, **means})
        self._add_scalars("train", progress.name, step, means)
        progress.pending, progress.logged = [], True

    def _add_scalars(self, group: str, phase: str, step: int, values: dict[str, float]) -> None:
        """Write finite values to TensorBoard, with steps counted over all phases."""
        with self._tensorboard() as board:
            if board is None:
                return
            for name, value in values.items():
                if math.isfinite(value):
                    board.add_scalar(f"{group}/{name}", value, self.starts.get(phase, 0) + step)

    @contextmanager
    def _tensorboard(self) -> Iterator[SummaryWriter | None]:
        """Yield TensorBoard's writer, if any; a failure disables it without stopping training."""
        try:
            yield self.board
        except OSError as error:
            self.board, self.board_missing = None, True
            log.warning("%s: no more is written (%s)", self.output / "tensorboard", error.strerror or error)

    def _on_error_of_thread(self, of: threading.ExceptHookArgs) -> None:
        """Suppress the traceback of TensorBoard's thread; its next call raises the error again."""
        if not (type(of.thread).__module__.startswith("tensorboard.") and isinstance(of.exc_value, OSError)):
            self._hook(of)

    def _open_board(self, first: int) -> None:
        """Open TensorBoard's file, which replaces earlier entries from step ``first`` on."""
        if self.board is not None or self.board_missing:
            return
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            self.board_missing = True
            log.warning("TensorBoard is not installed: %s and images only", self.log.name)
            return
        threading.excepthook = self._on_error_of_thread
        self.board = SummaryWriter(str(self.output / "tensorboard"), purge_step=first)

    def _draw(self) -> None:
        """Draw ``curves.png``; a failure does not stop training."""
        try:
            draw_curves(self.log, self.output / "curves.png")
        except (ImportError, InputError) as error:
            log.warning("curves.png is not drawn: %s", error)


def _means(steps: list[StepMeasures]) -> dict[str, float]:
    """Return every measure averaged over steps; iou over the steps that have one."""
    measured = [asdict(step) for step in steps]
    means = {}
    for name in [name for name in measured[0] if name != "step"]:
        values = [step[name] for step in measured]
        if name == "iou":
            values = [value for value in values if not math.isnan(value)]
        means[name] = sum(values) / len(values) if values else math.nan
    return means


def _postfix(means: dict[str, float]) -> str:
    return (
        f"loss {means['loss']:.3f}  iou {means['iou']:.3f}  lr {means['lr']:.1e}  "
        f"data {means['data_seconds']:.2f} s of {means['step_seconds']:.2f} s"
    )
