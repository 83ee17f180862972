"""Scoring a model on a few videos while it trains."""

from __future__ import annotations


def validate(model: object, config: object, device: str) -> dict[str, float]:
    raise NotImplementedError
