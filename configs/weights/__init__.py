"""The published checkpoints by name."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path

from aotlab.utils.errors import InputError

TABLE = Path(__file__).parent / "published.yaml"


@dataclass(frozen=True)
class PublishedWeights:
    """A checkpoint that others offer for download."""

    name: str
    """what it is called here, which is also its preset"""
    title: str
    """what its authors call it"""
    stage: str
    """training that it has seen, in the authors' words"""
    file: str
    """the authors' name of the file"""
    google_drive: str
    """id of the file on Google Drive"""
    parameters: float
    """millions, as published"""
    scores: dict[str, float] = field(default_factory=dict)
    """published, in %: mean of J and F by data set"""


@lru_cache
def published_weights() -> dict[str, PublishedWeights]:
    """All published checkpoints by name, in the order of the table."""
    import yaml

    table = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    known = {one.name for one in fields(PublishedWeights)}
    assert all(entry.keys() <= known for entry in table.values())
    return {name: PublishedWeights(name=name, **entry) for name, entry in table.items()}


def published(name: str) -> PublishedWeights:
    """The published checkpoint of this name.

    Raises:
        InputError: there is none.
    """
    table = published_weights()
    if name not in table:
        raise InputError(f"{name}: no published weights of this name; there are {', '.join(table)}")
    return table[name]
