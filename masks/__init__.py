"""Id maps, object masks, overlays and the formats of other tools. Knows no videos."""
