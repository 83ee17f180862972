"""Project of a video: its masks and objects on disk, their history, and edits."""
