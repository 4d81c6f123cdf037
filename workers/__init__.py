"""The processes behind the backplane."""
