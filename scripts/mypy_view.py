"""Make a folder in which the project lies as it is imported, for mypy: ``python scripts/mypy_view.py build/view``.

mypy does not read setuptools' ``package_dir``, and without this view checks one file and passes.
"""

import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main(view: Path) -> None:
    """Fill ``view``/aotlab with links to the sources."""
    shutil.rmtree(view, ignore_errors=True)
    package = view / "aotlab"
    package.mkdir(parents=True)
    for path in (ROOT / "aotlab").iterdir():
        (package / path.name).symlink_to(path)
    for init in ROOT.glob("*/__init__.py"):
        if init.parent.name not in ("aotlab", "tests"):
            (package / init.parent.name).symlink_to(init.parent)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
