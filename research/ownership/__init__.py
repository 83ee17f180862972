"""A hook that gives detached parts of an object to a lost object nearby, and its gain."""
