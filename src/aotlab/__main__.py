"""``python -m aotlab`` is the command ``aotlab``."""

import sys

from aotlab.tools.main import main

if __name__ == "__main__":
    sys.exit(main())
