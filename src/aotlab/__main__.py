"""The command ``aotlab``, also ``python -m aotlab``."""

import signal
import sys


def main() -> int:
    """Run the command; Ctrl-C prints one line, also while modules are imported."""
    try:
        from aotlab.tools.main import main as run

        return run()
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second Ctrl-C ends the process at once
        sys.stderr.write("interrupted\n")
        return 130
    finally:
        # while Python exits, its own handler would print tracebacks
        signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(main())
