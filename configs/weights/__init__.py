"""Table of published checkpoints."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from aotlab.utils.errors import InputError

TABLE = Path(__file__).parent / "published.yaml"


@dataclass(frozen=True)
class PublishedWeights:
    """A published checkpoint."""

    name: str
    """name in this project, equal to its preset"""
    title: str
    """name given by the authors"""
    stage: str
    """training stage, as named by the authors"""
    file: str
    """original file name"""
    google_drive: str
    """id of the file on Google Drive"""
    parameters: float
    """number of parameters in millions, as published"""
    scores: dict[str, float] = field(default_factory=dict)
    """published scores in %: mean of J and F by data set"""


@lru_cache
def published_weights() -> dict[str, PublishedWeights]:
    """Return all published checkpoints by name, in the order of the table."""
    import yaml

    table = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    return {name: PublishedWeights(name=name, **entry) for name, entry in table.items()}


def published(name: str) -> PublishedWeights:
    """Return the published checkpoint of this name; raises `InputError` for an unknown one."""
    table = published_weights()
    if name not in table:
        raise InputError(f"{name}: unknown published weights; names are {', '.join(table)}")
    return table[name]
