"""Training: phases, steps, saved states, validation and logs."""
