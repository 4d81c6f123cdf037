"""Decides which model runs where; the only writer of desired state."""
