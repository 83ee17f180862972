"""The document of a video: a log of edits, given masks by content, layers of tracked masks."""
