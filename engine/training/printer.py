"""Progress of training on standard error."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from tqdm import tqdm

from aotlab.dataloaders.training.mixture import describe_mixture
from aotlab.engine.training.listener import StepResult
from aotlab.engine.training.logs import ScalarLog
from aotlab.engine.training.state import TrainState
from aotlab.utils.progress import progress_bar
from aotlab.utils.text import format_count

log = logging.getLogger(__name__)


class Printer(ScalarLog):
    """A bar on a terminal, else a line every ``train.print_every`` steps with their means and the expected end."""

    interval = "print_every"
    bar: Any = None
    """Progress bar of the phase."""

    def began(self, state: TrainState) -> None:
        """Show the bar, begin to measure the time, and print the data of the phase, or that it is resumed."""
        if state.resumed_from is None:
            for line in describe_mixture(state.mixture):
                print_line(f"{state.phase.name}: {line}")
        if state.resumed_from is not None:
            print_line(f"{state.phase.name}: resumed after step {state.step} from {state.resumed_from}")
        self.on_terminal = sys.stderr.isatty()
        self.bar = progress_bar(state.phase.steps, title=state.phase.name, initial=state.step, enabled=self.on_terminal)
        self.first, self.start = state.step, time.monotonic()

    def stepped(self, state: TrainState, result: StepResult) -> None:
        """Update the bar, or print a line if it is due."""
        if not result.skipped:
            self.bar.set_postfix_str(format_metrics(result.metrics), refresh=False)
        self.bar.update()
        super().stepped(state, result)

    def video_scored(self, state: TrainState, done: int, total: int) -> None:
        """Print a line after each tenth of the videos, except the last, which the scores follow."""
        if self.on_terminal or not state.config.train.print_every:
            return
        if done < total and done * 10 // total > (done - 1) * 10 // total:
            print_line(f"{state.phase.name}, step {state.step}: validation of {done} of {format_count(total, 'video')}")

    def write_values(self, state: TrainState, group: str, values: dict[str, float]) -> None:
        """Print the values; the expected end counts validation and saved states."""
        place = f"{state.phase.name}, step {state.step}"
        if group == "validation":
            print_line(f"{place}: validation {'  '.join(f'{name} {value:.1f}' for name, value in values.items())}")
        elif not self.on_terminal:
            seconds = (time.monotonic() - self.start) / (state.step - self.first)
            end = datetime.now().astimezone() + timedelta(seconds=seconds * (state.phase.steps - state.step))
            print_line(f"{place} of {state.phase.steps}: {format_metrics(values)}  ends {end:%Y-%m-%d %H:%M}")

    def ended(self, state: TrainState, reason: str | None) -> None:
        """Close the bar."""
        if self.bar is not None:
            self.bar.close()


def format_metrics(metrics: Mapping[str, float]) -> str:
    """Return the metrics of a step, or their means, in a line."""
    return (
        f"loss {metrics['loss']:.3f}  iou {metrics['iou']:.3f}  lr {metrics['lr']:.1e}  "
        f"data {metrics['data_seconds']:.2f} s of {metrics['step_seconds']:.2f} s"
    )


def print_line(text: str) -> None:
    """Print a line on standard error, above a progress bar; not after ``--quiet``."""
    if log.isEnabledFor(logging.WARNING):
        tqdm.write(text, file=sys.stderr)
