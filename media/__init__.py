"""Video files, streams, image sequences and sound: frames in, videos out. Knows no masks."""
