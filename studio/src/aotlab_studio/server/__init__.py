"""Session of a page and its web server."""
