"""Training with like objects that touch: ``python -m research.bundled.train_touching [key=value ...]``.

Arguments and settings are those of ``aotlab train``; the recipe is ``recipes/touching.yaml``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from aotlab.tools.train import train_command
from research.bundled.touching_clips import TOUCHING_READERS

RECIPE = Path(__file__).parent / "recipes" / "touching.yaml"


main = train_command("python -m research.bundled.train_touching", str(RECIPE), TOUCHING_READERS)


if __name__ == "__main__":
    sys.exit(main())
