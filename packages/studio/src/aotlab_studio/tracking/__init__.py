"""Tracking: the frames of a layer, the thread that tracks them, and the models to choose from."""
