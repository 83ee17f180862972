"""Logs of a training run: ``log.jsonl``, CSV, TensorBoard with sample images, Weights & Biases."""

from __future__ import annotations

import csv
import io
import json
import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.utils import make_grid

from aotlab.engine.training.clip import ClipBatch
from aotlab.engine.training.listener import StepResult, TrainingListener
from aotlab.engine.training.state import TrainState
from aotlab.media.overlay import draw_overlay
from aotlab.utils.errors import describe_missing_module, require, require_modules
from aotlab.utils.files import reading, write_text
from aotlab.utils.plugins import LOGGER_PLUGINS, PluginChoices, describe_object, find_plugin

log = logging.getLogger(__name__)

LOG_NAME = "log.jsonl"
CSV_NAMES = {"train": "train.csv", "validation": "validation.csv"}
"""Names of the CSV files of each group of values."""
MAX_CLIPS, MAX_FRAMES, MAX_HEIGHT = 2, 6, 256
"""Largest number of clips and frames in a sample image, and largest height of a frame in pixels."""


class ScalarLog(TrainingListener):
    """Base of logs of scalars: means of the metrics of some steps, and the scores of validations."""

    interval = "log_every"
    """Setting of ``train`` with the number of steps of a mean."""

    def __init__(self) -> None:
        self.pending: list[dict[str, float]] = []
        """Metrics of the steps since the last means."""

    def write_values(self, state: TrainState, group: str, values: dict[str, float]) -> None:
        """Write values of a group, train or validation."""
        raise NotImplementedError

    def stepped(self, state: TrainState, result: StepResult) -> None:
        """Write the means if they are due."""
        if not result.skipped:
            self.pending.append(result.metrics)
        if state.is_due(getattr(state.config.train, self.interval)):
            self._write_means(state)

    def validated(self, state: TrainState, scores: dict[str, float]) -> None:
        """Write the scores."""
        self.write_values(state, "validation", scores)

    def ended(self, state: TrainState, reason: str | None) -> None:
        """Write the means of the last steps."""
        self._write_means(state)

    def _write_means(self, state: TrainState) -> None:
        if self.pending:
            self.write_values(state, "train", average_metrics(self.pending))
            self.pending = []


class LogFile(ScalarLog):
    """``log.jsonl``: values and events, one JSON object per line; null for non-finite numbers."""

    def began(self, state: TrainState) -> None:
        """Remove the lines of later steps, and log that the phase is resumed."""
        drop_later_lines(state.output / LOG_NAME, state, lambda line: itemgetter("phase", "step")(json.loads(line)))
        if state.resumed_from is not None:
            self._write(state, {"file": str(state.resumed_from)}, event="resumed")

    def stepped(self, state: TrainState, result: StepResult) -> None:
        """Log that the step was skipped, then means."""
        if result.skipped:
            self._write(state, {"reason": result.skipped}, event="skipped")
        super().stepped(state, result)

    def ended(self, state: TrainState, reason: str | None) -> None:
        """Log why the run stops, and the means of the last steps."""
        if reason is not None:
            self._write(state, {"reason": reason}, event="stopped")
        super().ended(state, reason)

    def write_values(self, state: TrainState, group: str, values: dict[str, float]) -> None:
        """Append a line with the values."""
        self._write(state, values)

    def _write(self, state: TrainState, values: Mapping[str, str | float], **event: str) -> None:
        finite = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in values.items()
        }
        line = {**event, "phase": state.phase.name, "step": state.step, **finite, "time": time.time()}
        append(state.output / LOG_NAME, f"{json.dumps(line)}\n")


class CsvLog(ScalarLog):
    """``train.csv`` and ``validation.csv``: a row with phase, step and values; new values get columns at the end."""

    def began(self, state: TrainState) -> None:
        """Remove the rows of later steps."""
        for name in CSV_NAMES.values():
            drop_later_lines(state.output / name, state, lambda line: next(csv.reader([line])))

    def write_values(self, state: TrainState, group: str, values: dict[str, float]) -> None:
        """Append a row, below a header that has all its values."""
        path, row = state.output / CSV_NAMES[group], {"phase": state.phase.name, "step": state.step, **values}
        with warn_without_space(path):
            header, _, rows = path.read_text(encoding="utf-8").partition("\n") if path.exists() else ("", "", "")
            columns = next(csv.reader([header]), [])
            if added := [name for name in row if name not in columns]:  # of another loss
                columns += added
                write_text(path, f"{format_csv(columns)}{rows}")
        append(path, format_csv([row.get(name, "") for name in columns]))


class TensorBoardLog(ScalarLog):
    """``tensorboard/`` with finite values and sample images, in steps over all phases."""

    board: Any = None
    """TensorBoard's writer."""

    def began(self, state: TrainState) -> None:
        """Open the writer; later steps are hidden."""
        from torch.utils.tensorboard import SummaryWriter

        self.board = SummaryWriter(str(state.output / "tensorboard"), purge_step=state.total_step + 1)

    def stepped(self, state: TrainState, result: StepResult) -> None:
        """Write means, and an image of the clips every ``train.image_every`` steps."""
        super().stepped(state, result)
        every = state.config.train.image_every
        if every and state.is_due(every) and not result.skipped:
            image = draw_clips(result.clip, result.predictions)
            with warn_without_space(state.output / "tensorboard"):
                self.board.add_image("clips", image, state.total_step)

    def ended(self, state: TrainState, reason: str | None) -> None:
        """Write the means of the last steps, and close the writer."""
        super().ended(state, reason)
        if self.board is not None:
            with warn_without_space(state.output / "tensorboard"):
                self.board.close()

    def write_values(self, state: TrainState, group: str, values: dict[str, float]) -> None:
        """Write finite values."""
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        with warn_without_space(state.output / "tensorboard"):
            for name, value in finite.items():
                self.board.add_scalar(f"{group}/{name}", value, state.total_step)


class WandbLog(ScalarLog):
    """Weights & Biases: values in steps over all phases, in the project ``aotlab`` unless WANDB_PROJECT names another.

    A run that was stopped is continued; W&B itself ends it with the process.
    """

    run: Any = None
    """Run of W&B."""

    def began(self, state: TrainState) -> None:
        """Begin or continue the run in the first phase."""
        import wandb

        if self.run is None:
            with reading("--log wandb", "run wandb login, or set WANDB_MODE=offline", wandb.Error):
                self.run = wandb.init(
                    project=os.environ.get("WANDB_PROJECT", "aotlab"), name=state.output.name, dir=state.output,
                    config=state.config.model_dump(), resume="auto", reinit="finish_previous",
                )  # fmt: skip
            self.run.define_metric("*", step_metric="step")

    def ended(self, state: TrainState, reason: str | None) -> None:
        """Write the means of the last steps; end the run as failed if it stops."""
        super().ended(state, reason)
        if reason is not None and self.run is not None:
            self.run.finish(exit_code=1)

    def write_values(self, state: TrainState, group: str, values: dict[str, float]) -> None:
        """Log the values."""
        self.run.log({"step": state.total_step, **{f"{group}/{name}": value for name, value in values.items()}})


LOGS: dict[str, type[ScalarLog]] = {"csv": CsvLog, "tensorboard": TensorBoardLog, "wandb": WandbLog}
"""Logs of ``train --log`` beside `LogFile`, by name."""


def make_logs(names: Sequence[str] | None) -> list[TrainingListener]:
    """Return `LogFile` and the logs of these names, also of plug-ins; None: TensorBoard, if it is installed.

    Raises:
        InputError: unknown name, or its library is missing.
    """
    if names is None:
        names = ["tensorboard"] if find_spec("tensorboard") else []
        if not names:
            log.warning("no TensorBoard, only %s: %s", LOG_NAME, describe_missing_module("tensorboard"))
    choices, listeners = PluginChoices(LOGGER_PLUGINS, LOGS), list[TrainingListener]()
    for name in dict.fromkeys(names):
        is_built_in = choices.is_built_in(name, "log")
        if is_built_in and name != "csv":
            require_modules(name)
        kind = LOGS[name] if is_built_in else find_plugin(LOGGER_PLUGINS, name)
        listeners.append(kind())
        is_listener = isinstance(listeners[-1], TrainingListener)
        remedy = "derive it from aotlab.sdk.TrainingListener"
        require(is_listener, "not a listener of training", subject=describe_object(kind), remedy=remedy)
    return [LogFile(), *listeners]


def average_metrics(steps: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the means of the metrics of steps; IoU over the steps that have one, else nan."""
    means = {}
    for name in steps[0]:
        values = [step[name] for step in steps if name != "iou" or not math.isnan(step[name])]
        means[name] = sum(values) / len(values) if values else math.nan
    return means


def format_csv(values: Sequence[object]) -> str:
    """Return a line of CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


def append(path: Path, text: str) -> None:
    """Append lines to a file."""
    with warn_without_space(path), path.open("a", encoding="utf-8") as file:
        file.write(text)


@contextmanager
def warn_without_space(path: Path) -> Iterator[None]:
    """Warn if the block cannot write to ``path``; training continues."""
    try:
        yield
    except OSError as error:
        log.warning("%s: a line is missing (%s)", path, error.strerror or error)


def drop_later_lines(path: Path, state: TrainState, parse: Callable[[str], Sequence[Any]]) -> None:
    """Remove the lines of later steps than ``state``, which a resumed run writes again, and an incomplete last line.

    Other lines are kept. ``parse``: returns phase, step and more of a line, or raises an error.
    """
    if not path.exists():
        return
    positions = {phase.name: index for index, phase in enumerate(state.config.train.phases)}
    kept_lines = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
        with suppress(ValueError, TypeError, LookupError):
            phase, step, *_ = parse(line)
            if (positions[phase], int(step)) > (state.index, state.step):
                continue
        if line.endswith("\n"):
            kept_lines.append(line)
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
        for masks in (clip.target_indices, predictions):
            for frame in frame_indices:
                pixels = (clip.images[frame, index] * 255).round().byte().cpu().movedim(0, -1)
                overlay = draw_overlay(pixels.numpy(), masks[frame][index].cpu().byte().numpy())
                tiles.append(torch.from_numpy(overlay).movedim(-1, 0))
    grid = make_grid(tiles, nrow=len(frame_indices), padding=6, pad_value=255)
    if height > MAX_HEIGHT:
        scale = MAX_HEIGHT / height
        grid = F.interpolate(grid[None].float(), scale_factor=scale, mode="area")[0].round().byte()
    return grid
