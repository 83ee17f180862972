"""Images, masks of object ids in PNG, run lengths, prompts and overlays; names of files."""
