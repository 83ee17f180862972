"""Faster modules for models that are tracked or trained; the methods' files do not know of them."""
