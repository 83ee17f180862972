"""Masks of objects from prompts on one frame."""
