"""Shards of a list of work, for processes that do not communicate."""

from __future__ import annotations

import re
from dataclasses import dataclass

from aotlab.utils.errors import InputError, require

SHARD_SYNTAX = "expected I/N with I from 0 to N-1, for example 0/8"


@dataclass(frozen=True)
class Shard:
    """Part of a list: ``index`` of ``count``, from 0."""

    index: int
    count: int

    def __post_init__(self) -> None:
        require(self.index in range(self.count), SHARD_SYNTAX, subject=self)

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read ``I/N``."""
        match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text, re.ASCII)
        if match is None:
            raise InputError(SHARD_SYNTAX, subject=text[:40])
        return cls(int(match[1]), int(match[2]))
