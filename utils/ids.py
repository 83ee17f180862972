"""Special values of masks."""

VOID = 255
"""label of pixels that annotators left undecided; ignored in training"""
