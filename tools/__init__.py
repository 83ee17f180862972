"""Command-line programs: parse, build, call the engine."""
