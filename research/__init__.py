"""Tools of research, run from a checkout as ``python -m research.…``; not part of the installed package."""
