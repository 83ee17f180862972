"""Faster modules for models that are tracked or trained; method files never import them."""
