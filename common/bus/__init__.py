"""ZeroMQ behind a few classes: requests, numbered events, presence."""
