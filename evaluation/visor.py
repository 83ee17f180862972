"""Scoring rules of VISOR: DAVIS's, with the last frame, and means over unseen kitchens.

Source: Darkhalil et al. 2022.
"""

from collections.abc import Sequence

from aotlab.evaluation.rows import Row, Summary, column_mean, mean_row, select_rows


def summarize(rows: Sequence[Row], seen: Sequence[bool | None]) -> Summary:
    """Return the means over all objects, and over those in kitchens unseen in training."""
    unseen = select_rows(rows, seen, False)
    return {**mean_row(rows), **{f"{column}_unseen": column_mean(unseen, column) for column in ("J&F", "J", "F")}}
