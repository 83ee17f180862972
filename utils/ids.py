"""What the values of a mask mean."""

VOID = 255
"""The id that benchmark labels give to pixels that belong to no object for certain; training ignores them."""
