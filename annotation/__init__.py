"""Annotation: draw masks on a video, track them, correct them, export them. The session knows no web."""
