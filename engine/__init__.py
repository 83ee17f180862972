"""Tracking over time: memory, tracker, evaluation and training runs, exports."""
