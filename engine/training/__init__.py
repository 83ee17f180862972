"""Training: phases, steps, states, and what people look at meanwhile."""
