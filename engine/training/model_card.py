"""Model card: the training behind weights, stored as JSON in a checkpoint's metadata."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import Field

from aotlab.configs.settings import Settings
from aotlab.networks.weights.checkpoints import read_card


class PhaseRecord(Settings, extra="ignore"):
    """A phase of training, complete or in part."""

    name: str
    steps: int
    """Optimizer steps done."""
    planned: int
    """Optimizer steps of the whole phase."""
    hours: float
    """Time of the steps, without validation."""
    batch: int
    clip_length: int
    crop: int
    """Pixels."""
    data: list[str]
    """Training sets, and fingerprints of training and validation data, as the trainer lists them."""
    seed: int
    precision: str
    device: str
    """Number of processes and their device."""
    start: str
    """Initial weights."""
    command: str
    program: dict[str, str] = Field(default_factory=dict)
    """Versions of aotlab and PyTorch, and the commit of a checkout."""
    code: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of the code of each plug-in, by setting."""
    scores: dict[str, float] = Field(default_factory=dict)
    """Scores of the last validation in percent; empty without validation."""
    resumed: list[str] = Field(default_factory=list)
    """Sentences about settings and data that changed when the phase was resumed."""


class ModelCard(Settings, extra="ignore"):
    """All training phases of a checkpoint, first to last."""

    phases: list[PhaseRecord]

    def to_json(self) -> str:
        """Return the card as JSON for the metadata."""
        return json.dumps(self.model_dump(), ensure_ascii=False)


def parse_card(text: str | None) -> ModelCard | None:
    """Return the card in a file's metadata, without unknown fields; None if it is missing or damaged."""
    try:
        return ModelCard.model_validate_json(text or "")
    except ValueError:
        return None


def load_card(path: Path) -> ModelCard | None:
    """Return the card of a checkpoint, as `parse_card`."""
    return parse_card(read_card(path))


def describe_card(card: ModelCard) -> str:
    """Return the card as Markdown: a table of phases, then start, command, versions, data and changes of each."""
    steps, hours = sum(phase.steps for phase in card.phases), sum(phase.hours for phase in card.phases)
    lines = [
        f"averaged weights after {steps} steps in {hours:.2f} hours",
        "",
        "| phase | steps | hours | batch | clip | crop | precision | device | seed | J&F / J / F |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_row(phase) for phase in card.phases]
    for phase in card.phases:
        lines += ["", f"{phase.name}, from {phase.start}: `{phase.command}`", ""]
        versions = [", ".join(f"{name} {version}" for name, version in phase.program.items())] if phase.program else []
        code = [f"code of {name}: SHA-256 {digest[:16]}" for name, digest in phase.code.items()]
        lines += [f"- {line}" for line in (*versions, *code, *phase.data, *phase.resumed)]
    return "\n".join(lines) + "\n"


def _row(phase: PhaseRecord) -> str:
    step_count = f"{phase.steps}" if phase.steps == phase.planned else f"{phase.steps} of {phase.planned}"
    names = [name for name in ("J&F", "J", "F") if name in phase.scores]
    scores = " / ".join(f"{phase.scores[name]:.1f}" for name in names)
    scores = scores or " / ".join(f"{name} {value:.1f}" for name, value in phase.scores.items())
    cells = (phase.name, step_count, f"{phase.hours:.2f}", phase.batch, phase.clip_length, phase.crop, phase.precision,
             phase.device, phase.seed, scores or "–")  # fmt: skip
    return "| " + " | ".join(str(cell) for cell in cells) + " |"
