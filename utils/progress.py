"""Progress bars."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tqdm import tqdm


def progress_bar(
    total: int | None, *, unit: str = "it", title: str | None = None, enabled: bool = True, initial: int = 0
) -> tqdm:
    """Return a tqdm bar on stderr, which is shown only if stderr is a terminal and not with ``--quiet``.

    Args:
        total: number of items; 0: no bar, None: unknown.
        unit: name of an item.
        title: text before the bar.
        enabled: false: no bar.
        initial: number of items that are done already.
    """
    from tqdm import tqdm

    shown = enabled and total != 0 and logging.getLogger("aotlab").isEnabledFor(logging.WARNING)
    disable = None if shown else True  # None: only on a terminal
    return tqdm(total=total, initial=initial, unit=unit, desc=title, disable=disable, dynamic_ncols=True)
