"""Looking inside models: their costs, their attention, the similarity of their identities."""
