"""Table of the published checkpoints."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from aotlab.utils.errors import require_choice

PUBLISHED_TABLE = Path(__file__).with_name("published.yaml")


@dataclass(frozen=True)
class PublishedWeights:
    """A published checkpoint."""

    name: str
    """Name in this project, equal to its preset."""
    title: str
    """The authors' name."""
    file: str
    """Original file name."""
    google_drive: str
    """Id of the file on Google Drive."""
    parameters: float
    """Number of parameters in millions, as published."""
    scores: dict[str, float] = field(default_factory=dict)
    """Published scores in %: mean of J and F by data set."""


@lru_cache
def list_published_weights() -> dict[str, PublishedWeights]:
    """Return all published checkpoints by name, in the order of the table."""
    from aotlab.configs.load import parse_yaml

    table = parse_yaml(PUBLISHED_TABLE.read_text(encoding="utf-8"), str(PUBLISHED_TABLE))
    return {name: PublishedWeights(name, **entry) for name, entry in table.items()}


def find_published_weights(name: str) -> PublishedWeights:
    """Return the published checkpoint of this name."""
    table = list_published_weights()
    require_choice(name, table, "weights")
    return table[name]
