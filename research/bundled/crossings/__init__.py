"""Rendered clips of look-alike objects that cross and hide one another, with exact masks."""
