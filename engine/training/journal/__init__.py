"""Training logs, plots and sample images."""
