"""Media: video files, streams, image sequences, sound and video writing."""
