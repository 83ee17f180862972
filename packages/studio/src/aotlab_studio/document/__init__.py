"""The document of a video: a log of edits, drawn masks by content, layers of tracked masks."""
