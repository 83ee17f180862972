"""The argument type of ``--checkpoint``."""

from __future__ import annotations

from pathlib import Path

from aotlab.tools.cli.program import argument_type


def checkpoint(text: str) -> Path:
    """The file of a checkpoint: a path, hf://owner/repository, or a name of published weights, fetched on first use.

    Raises:
        InputError: named weights that cannot be fetched or were changed.
    """
    from aotlab.networks.weights.zoo import resolve

    return resolve(text)


CHECKPOINT = argument_type(checkpoint)
