"""Readers of data sets and videos, training clips, augmentation. Knows no model."""
