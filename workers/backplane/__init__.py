"""The request switch and the event proxy."""
