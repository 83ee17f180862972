"""Looking inside models: what they cost, where they look, how alike their identities are."""
