"""Session of a person with a video: actions, tracking, export."""
