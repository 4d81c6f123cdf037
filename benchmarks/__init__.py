"""One question per script, against a named reference in the same run, printed as a ratio."""
