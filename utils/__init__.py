"""What every other package leans on: masks as PNG, overlays, errors, files. Knows no model and no data set."""
