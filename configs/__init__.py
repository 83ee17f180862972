"""The schema of every setting, its loader, and the YAML presets and recipes."""
