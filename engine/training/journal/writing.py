"""Training logs: progress bar, log lines, TensorBoard, sample images and a plot."""

from __future__ import annotations

import logging
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor
from tqdm import tqdm

from aotlab.engine.training.clip_training import ClipBatch
from aotlab.engine.training.journal.images import clip_image, save_image
from aotlab.engine.training.journal.log_lines import append_lines, drop_later_lines, phase_starts, read_lines
from aotlab.engine.training.journal.plot import draw_curves
from aotlab.utils.errors import InputError
from aotlab.utils.progress import progress_bar

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

log = logging.getLogger(__name__)

IMAGES_KEPT = 8
"""number of newest images kept in the output folder; TensorBoard keeps all"""


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
        self.name = ""
        self.starts: dict[str, int] = {}
        self.pending: list[dict[str, float]] = []
        """measures of the steps since the last log line"""
        self.board: SummaryWriter | None = None
        self.board_tried = False
        self._hook = threading.excepthook

    @contextmanager
    def phase(self, name: str, steps: int, done: int) -> Iterator[None]:
        """Show the bar of a phase of which ``done`` steps were run before; later log lines are removed.

        Raises:
            InputError: the log cannot be written.
        """
        self.name, self.steps, self.done, self.logged = name, steps, done, False
        if self.lead:
            drop_later_lines(self.log, name, done)
            # Steps of earlier phases are known from the log.
            self.starts = phase_starts([*read_lines(self.log), {"phase": name, "step": done}])
            self._open_board(self.starts[name] + done + 1)
        with progress_bar(steps, title=name, done=done, shown=self.lead) as self.bar:
            try:
                yield
            finally:
                self._log_means()

    def step(self, step: int, measures: dict[str, float]) -> None:
        """Update the bar; log the means of the measures every ``log_every`` steps."""
        self.done = step
        self.pending.append(measures)
        due = step % self.log_every == 0 or step == self.steps
        if due or not self.logged:
            means = _means(self.pending)
            self.bar.set_postfix_str(
                f"loss {means['loss']:.3f}  iou {means['iou']:.3f}  lr {means['lr']:.1e}  "
                f"data {means['data_seconds']:.2f} s of {means['step_seconds']:.2f} s",
                refresh=False,
            )
        if due:
            self._log_means()
        self.bar.update()

    def scores(self, step: int, scores: dict[str, float]) -> None:
        """Log J&F, J and F in percent, print them above the bar and redraw the curves."""
        if not self.lead:
            return
        self._log_values("validation", step, scores)
        values = "  ".join(f"{name} {value:.1f}" for name, value in scores.items())
        tqdm.write(f"{self.name}, step {step}: validation {values}", file=sys.stderr)
        self._draw()

    def images(self, step: int, clip: ClipBatch, predictions: list[Tensor]) -> None:
        """Write clips with labels and ``predictions``, B×H×W per frame, to ``images/`` and TensorBoard."""
        if not self.lead:
            return
        image = clip_image(clip, predictions)
        try:
            save_image(image, self.output / "images" / f"{self.name}_{step:07d}.jpg", keep=IMAGES_KEPT)
        except (InputError, OSError) as error:
            log.warning("%s", error)
        at = self.starts[self.name] + step
        self._on_board(lambda board: board.add_image("clips", image, at, dataformats="HWC"))

    def note(self, line: dict[str, Any]) -> None:
        """Append the line with the time to ``log.jsonl``; a failure does not stop training."""
        if not self.lead:
            return
        try:
            append_lines(self.log, [{**line, "time": time.time()}])
        except OSError as error:
            log.warning("%s: a line is missing (%s)", self.log, error.strerror)

    def close(self) -> None:
        """Flush TensorBoard and draw ``curves.png``."""
        if self.lead:
            self._on_board(lambda board: board.close())
            self.board, threading.excepthook = None, self._hook
            self._draw()

    def _log_means(self) -> None:
        """Log the means of the pending steps, if there are any."""
        if self.pending:
            self._log_values("train", self.done, _means(self.pending))
            self.pending, self.logged = [], True

    def _log_values(self, group: str, step: int, values: dict[str, float]) -> None:
        """Log values, and write finite ones to TensorBoard, with steps counted over all phases."""
        self.note({"phase": self.name, "step": step, **values})
        at = self.starts.get(self.name, 0) + step

        def write(board: SummaryWriter) -> None:
            for name, value in values.items():
                if math.isfinite(value):
                    board.add_scalar(f"{group}/{name}", value, at)

        self._on_board(write)

    def _open_board(self, first: int) -> None:
        """Open TensorBoard's file, which replaces earlier entries from step ``first`` on."""
        if self.board_tried:
            return
        self.board_tried = True
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            log.warning("TensorBoard is not installed: %s and images only", self.log.name)
            return
        threading.excepthook = self._on_error_of_thread
        self.board = SummaryWriter(str(self.output / "tensorboard"), purge_step=first)

    def _on_board(self, write: Callable[[SummaryWriter], None]) -> None:
        """Call TensorBoard's writer, if any; a failure disables it without stopping training."""
        try:
            if self.board is not None:
                write(self.board)
        except OSError as error:
            self.board = None
            log.warning("%s: no more is written (%s)", self.output / "tensorboard", error.strerror or error)

    def _on_error_of_thread(self, of: threading.ExceptHookArgs) -> None:
        """Suppress the traceback of TensorBoard's thread; its next call raises the error again."""
        if not (type(of.thread).__module__.startswith("tensorboard.") and isinstance(of.exc_value, OSError)):
            self._hook(of)

    def _draw(self) -> None:
        """Draw ``curves.png``; a failure does not stop training."""
        try:
            draw_curves(self.log, self.output / "curves.png")
        except (ImportError, InputError, OSError) as error:
            log.warning("curves.png is not drawn: %s", error)


def _means(steps: list[dict[str, float]]) -> dict[str, float]:
    """Return every measure averaged over steps; iou over the steps that have one."""
    means = {}
    for name in steps[0]:
        values = [step[name] for step in steps if name != "iou" or not math.isnan(step[name])]
        means[name] = sum(values) / len(values) if values else math.nan
    return means
