"""The contract: one `Command` or `Event` object per name, by domain."""
