"""Training with like objects that touch: ``python -m research.bundled.train_touching [key=value ...]``.

Settings are those of ``aotlab train``; the recipe is ``recipes/touching.yaml``.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from aotlab.configs.load import load_config
from aotlab.engine.training.trainer import train
from aotlab.utils.distributed import join_process_group
from research.bundled.touching_clips import TOUCHING_READERS

RECIPE = Path(__file__).parent / "recipes" / "touching.yaml"


def main(settings: list[str] | None = None) -> int:
    """Train; print the file of the weights."""
    settings = sys.argv[1:] if settings is None else settings
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with join_process_group("cpu") as world:
        command = f"python -m research.bundled.train_touching {' '.join(settings)}"
        trained = train(load_config(RECIPE, settings), world, readers=TOUCHING_READERS, command=command)
        print(trained.checkpoint)
    return 0


if __name__ == "__main__":
    sys.exit(main())
