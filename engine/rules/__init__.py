"""Rules that correct a tracker's predictions."""
