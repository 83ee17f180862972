"""Measurement of rules that keep identities apart; not installed."""
