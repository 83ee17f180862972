"""What people look at while a model trains: the bar, the log, TensorBoard, pictures and curves."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor
from tqdm import tqdm

from aotlab.engine.training.clip_training import ClipBatch
from aotlab.engine.training.curves import draw_curves
from aotlab.engine.training.log_lines import append_line, phase_starts, read_lines, undo
from aotlab.engine.training.pictures import clip_picture, save_picture
from aotlab.utils.errors import InputError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

log = logging.getLogger(__name__)

PICTURES_KEPT = 8
"""Pictures of clips that stay in the output folder, the newest ones; TensorBoard has more of them."""


@dataclass(frozen=True)
class StepMeasures:
    """What one optimiser step measured."""

    step: int
    """steps done in the phase, this one included"""
    loss: float
    reference_loss: float
    """on the reference frames"""
    tracked_loss: float
    """on the other frames"""
    iou: float
    """of the tracked objects, mean, 0 to 1; nan when no clip of the batch has an object"""
    lr: float
    encoder_lr: float
    gradient_norm: float
    """before it is clipped"""
    data_seconds: float
    """spent waiting for data"""
    step_seconds: float
    """of the whole step, waiting included"""


class Journal:
    """The journal of a process that tells nothing: every rank but the first."""

    @contextmanager
    def phase(self, name: str, steps: int, done: int) -> Iterator[None]:
        """Around the steps of a phase, of which ``done`` were done by a run before this one.

        What that run wrote about later steps is taken out.

        Raises:
            InputError: the log cannot be written.
        """
        yield

    def step(self, measures: StepMeasures) -> None:
        """After every optimiser step of the phase."""

    def scores(self, phase: str, step: int, scores: dict[str, float]) -> None:
        """After a validation: J&F, J and F in percent."""

    def pictures(self, step: int, clip: ClipBatch, predictions: list[Tensor]) -> None:
        """Show clips with their true masks and with ``predictions``, B×H×W labels per frame."""

    def note(self, line: dict[str, Any]) -> None:
        """Any other event."""

    def close(self) -> None:
        """Finish all files and draw the curves."""


def open_journal(output: Path, *, lead: bool, log_every: int = 20) -> Journal:
    """The journal of a run.

    Args:
        output: folder of the run; it exists.
        lead: whether this process is the one that writes.
        log_every: steps from one log line to the next, which holds their means.
    """
    return WrittenJournal(output, log_every) if lead else Journal()


@dataclass
class Stretch:
    """The part of a phase that this process trains."""

    name: str
    steps: int
    bar: tqdm
    pending: list[StepMeasures] = field(default_factory=list)
    """steps since the last log line"""
    logged: bool = False


class WrittenJournal(Journal):
    """Writes ``log.jsonl``, ``tensorboard/``, ``pictures/`` and ``curves.png`` into the run's folder."""

    def __init__(self, output: Path, log_every: int) -> None:
        self.output, self.log_every = output, log_every
        self.log = output / "log.jsonl"
        self.log.touch()
        self.starts: dict[str, int] = {}
        self.stretch: Stretch | None = None
        self.board: SummaryWriter | None = None
        self.board_missing = False

    @contextmanager
    def phase(self, name: str, steps: int, done: int) -> Iterator[None]:
        """The bar around the steps of a phase; the log and TensorBoard go on from ``done``."""
        undo(self.log, name, done)
        # The steps of phases that other processes trained are known from the log.
        self.starts = phase_starts([*read_lines(self.log), {"phase": name, "step": done}])
        self._open_board(self.starts[name] + done + 1)
        # A bar that goes to a file is not repainted in place: every repaint is text.
        pause = 0.5 if sys.stderr.isatty() else 30
        with tqdm(total=steps, initial=done, desc=name, mininterval=pause, dynamic_ncols=True) as bar:
            self.stretch = Stretch(name, steps, bar)
            try:
                yield
            finally:
                self._write_means(self.stretch)
                self.stretch = None

    def step(self, measures: StepMeasures) -> None:
        """Move the bar; every ``log_every`` steps write the means of what was measured since."""
        stretch = self.stretch
        if stretch is None:
            raise ValueError("a step was measured outside of Journal.phase")
        stretch.pending.append(measures)
        due = measures.step % self.log_every == 0 or measures.step == stretch.steps
        if due or not stretch.logged:
            stretch.bar.set_postfix_str(_postfix(_means(stretch.pending)), refresh=False)
        if due:
            self._write_means(stretch)
        stretch.bar.update()

    def scores(self, phase: str, step: int, scores: dict[str, float]) -> None:
        """Log scores, print them above the bar, draw the curves anew."""
        self.note({"phase": phase, "step": step, **scores})
        self._add_scalars("validation", phase, step, scores)
        values = "  ".join(f"{name} {value:.1f}" for name, value in scores.items())
        tqdm.write(f"{phase}, step {step}: validation {values}", file=sys.stderr)
        self._draw()

    def pictures(self, step: int, clip: ClipBatch, predictions: list[Tensor]) -> None:
        """Write the picture as ``pictures/PHASE_STEP.jpg`` and to TensorBoard."""
        if self.stretch is None:
            raise ValueError("pictures were given outside of Journal.phase")
        phase, picture = self.stretch.name, clip_picture(clip, predictions)
        path = self.output / "pictures" / f"{phase}_{step:07d}.jpg"
        try:
            save_picture(picture, path, keep=PICTURES_KEPT)
        except (InputError, OSError) as error:
            log.warning("%s", error)
        if self.board is not None:
            self.board.add_image("clips", picture, self.starts[phase] + step, dataformats="HWC")

    def note(self, line: dict[str, Any]) -> None:
        """Append the line, with the time, to ``log.jsonl``; a log that cannot be written ends no training."""
        try:
            append_line(self.log, {**line, "time": time.time()})
        except OSError as error:
            log.warning("%s: a line is missing (%s)", self.log, error.strerror)

    def close(self) -> None:
        """Flush TensorBoard and draw ``curves.png``."""
        if self.board is not None:
            self.board.close()
            self.board = None
        self._draw()

    def _write_means(self, stretch: Stretch) -> None:
        """Log the means of the pending steps, if there are any."""
        if not stretch.pending:
            return
        step, means = stretch.pending[-1].step, _means(stretch.pending)
        self.note({"phase": stretch.name, "step": step, **means})
        self._add_scalars("train", stretch.name, step, means)
        stretch.pending, stretch.logged = [], True

    def _add_scalars(self, group: str, phase: str, step: int, values: dict[str, float]) -> None:
        """Give finite values to TensorBoard, at a step that counts on over the phases."""
        if self.board is None:
            return
        for name, value in values.items():
            if math.isfinite(value):
                self.board.add_scalar(f"{group}/{name}", value, self.starts.get(phase, 0) + step)

    def _open_board(self, first: int) -> None:
        """Open TensorBoard's file, which hides what earlier files say of step ``first`` and later."""
        if self.board is not None or self.board_missing:
            return
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            self.board_missing = True
            log.warning("TensorBoard is not installed: %s and pictures only", self.log.name)
            return
        self.board = SummaryWriter(str(self.output / "tensorboard"), purge_step=first)

    def _draw(self) -> None:
        """Draw ``curves.png``; a picture that cannot be made ends no training."""
        try:
            draw_curves(self.log, self.output / "curves.png")
        except (ImportError, InputError) as error:
            log.warning("curves.png is not drawn: %s", error)


def _means(steps: list[StepMeasures]) -> dict[str, float]:
    """Every measure averaged over steps; iou over the steps that have one."""
    measured = [asdict(step) for step in steps]
    means = {}
    for name in [name for name in measured[0] if name != "step"]:
        values = [step[name] for step in measured]
        if name == "iou":
            values = [value for value in values if not math.isnan(value)]
        means[name] = sum(values) / len(values) if values else math.nan
    return means


def _postfix(means: dict[str, float]) -> str:
    """The measures that the bar shows."""
    return (
        f"loss {means['loss']:.3f}  iou {means['iou']:.3f}  lr {means['lr']:.1e}  "
        f"data {means['data_seconds']:.2f} s of {means['step_seconds']:.2f} s"
    )
