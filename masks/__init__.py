"""Masks: id maps, object masks, overlays, painting and formats of other tools."""
