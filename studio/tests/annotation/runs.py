"""Reading what `annotation.server.encode_runs` writes, as the page does."""

import numpy as np


def decode_runs(content):
    """H×W uint16 ids of the bytes that `encode_runs` made."""
    height, width, count = (int(value) for value in np.frombuffer(content, "<u4", 3))
    lengths = np.frombuffer(content, "<u4", count, 12)
    ids = np.frombuffer(content, "<u2", count, 12 + 4 * count)
    return np.repeat(ids, lengths).reshape(height, width)
