"""What this process has used."""

from __future__ import annotations

import sys


def peak_resident_bytes() -> int | None:
    """Most memory that this process had resident so far; None where the system does not tell (Windows)."""
    try:
        import resource
    except ModuleNotFoundError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB
