"""Settings: schema, loader, YAML presets and recipes."""
