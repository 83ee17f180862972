"""Web servers of a session and of a batch, and their access control."""
