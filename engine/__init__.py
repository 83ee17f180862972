"""Tracking over time: recurrence, memory, tracker, prompts, training, benchmarks, exports."""
