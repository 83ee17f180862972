"""How fast a model tracks: time by part, two ways of running side by side, and the slow twin they are held against."""
