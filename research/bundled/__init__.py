"""Training and measurement of the bundled model."""
