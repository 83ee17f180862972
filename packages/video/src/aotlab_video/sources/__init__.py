"""Video files, image folders and streams as frames; levels, time codes and plates; video writing."""
