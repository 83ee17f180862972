"""The argument type of ``--checkpoint``."""

from __future__ import annotations

from pathlib import Path

from aotlab.tools.cli.program import argument_type


def checkpoint(text: str) -> Path:
    """Return the file of a path, hf://owner/repository, or name of published weights, fetched on first use."""
    from aotlab.networks.weights.zoo import resolve

    return resolve(text)


CHECKPOINT = argument_type(checkpoint)
