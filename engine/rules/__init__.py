"""Rules that correct what a tracker predicts."""
