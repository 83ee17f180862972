"""What the command lines share: options, error sentences and exit statuses, and checks of paths."""
