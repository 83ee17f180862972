"""Where time lives: memory, the tracker, evaluation runs, training."""
