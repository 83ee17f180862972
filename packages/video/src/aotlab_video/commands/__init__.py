"""Commands `track`, `render` and `mask`."""
