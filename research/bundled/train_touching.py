"""Training with like objects that touch: ``python -m research.bundled.train_touching [key=value ...]``.

Arguments and settings are those of ``aotlab train``; the recipe is ``recipes/touching.yaml``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from aotlab.tools.cli.parser import command
from aotlab.tools.train import run
from research.bundled.touching_clips import TOUCHING_READERS

RECIPE = Path(__file__).parent / "recipes" / "touching.yaml"


@command
def main(argv: list[str] | None = None) -> int:
    """Train; return the exit status."""
    return run(argv, str(RECIPE), "python -m research.bundled.train_touching", TOUCHING_READERS)


if __name__ == "__main__":
    sys.exit(main())
