"""Reviews of tracked videos: scores, frames to check, and pages that list them."""
