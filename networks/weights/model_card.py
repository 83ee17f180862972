"""A model card: how weights came about, kept as JSON in a checkpoint's metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from aotlab.utils.numbers import SEED, Range

AVERAGED = "averaged"


@dataclass(frozen=True)
class PhaseRecord:
    """A phase of training that was done, or the part of it that was."""

    name: str
    steps: int
    """optimiser steps done"""
    planned: int
    """optimiser steps of the whole phase"""
    hours: float
    """spent in steps, validation not counted"""
    batch: int
    clip_length: int
    crop: int
    """pixels"""
    data: list[str]
    """sets of training data, as the trainer lists them"""
    seed: int
    precision: str
    device: str
    """what it was computed on, and the number of processes"""
    start: str
    """weights that the phase began from"""
    command: str
    scores: dict[str, float] = field(default_factory=dict)
    """last validation in percent; empty without one"""


@dataclass(frozen=True)
class ModelCard:
    """All phases behind a file of weights, first to last."""

    phases: list[PhaseRecord]
    weights: str = AVERAGED
    """averaged: the exponential moving average over steps; raw: the weights after the last step"""

    def to_json(self) -> str:
        """The card as JSON for the metadata."""
        return json.dumps(asdict(self), ensure_ascii=False)


def card_from_json(text: str | None) -> ModelCard | None:
    """The card in a file's metadata; None if it is missing or damaged."""
    if text is None:
        return None
    try:
        content = json.loads(text)
        return ModelCard([_phase(each) for each in content["phases"]], str(content["weights"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def describe_card(card: ModelCard) -> str:
    """The card as Markdown: a table of phases, then data, start and command of each."""
    steps, hours = sum(phase.steps for phase in card.phases), sum(phase.hours for phase in card.phases)
    lines = [
        f"{card.weights} weights after {steps} steps in {hours:.2f} hours",
        "",
        "| phase | steps | hours | batch | clip | crop | precision | device | seed | J&F / J / F |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_row(phase) for phase in card.phases]
    for phase in card.phases:
        lines += ["", f"{phase.name}, from {phase.start}: `{phase.command}`", ""]
        lines += [f"- {line}" for line in phase.data]
    return "\n".join(lines) + "\n"


def _row(phase: PhaseRecord) -> str:
    done = f"{phase.steps}" if phase.steps == phase.planned else f"{phase.steps} of {phase.planned}"
    scores = " / ".join(f"{phase.scores[name]:.1f}" for name in ("J&F", "J", "F") if name in phase.scores)
    cells = (phase.name, done, f"{phase.hours:.2f}", phase.batch, phase.clip_length, phase.crop, phase.precision,
             phase.device, phase.seed, scores or "–")  # fmt: skip
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _phase(content: Mapping[str, Any]) -> PhaseRecord:
    """A record from JSON; unknown fields are ignored.

    Raises:
        ValueError, TypeError, AttributeError: something is missing, or not what it should be.
    """
    known = {each.name for each in fields(PhaseRecord)}
    record = PhaseRecord(**{name: value for name, value in content.items() if name in known})
    texts = [record.name, record.precision, record.device, record.start, record.command, *record.data]
    counts = [record.steps, record.planned, record.batch, record.clip_length, record.crop, record.seed]
    scores = list(record.scores.values())
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("a text of the card is not a string")
    if not all(count in SEED for count in counts) or not all(
        each in Range(0) for each in [record.hours, *scores]
    ):
        raise ValueError("a number of the card is out of range")
    return record
