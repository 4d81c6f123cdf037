"""What an engine's flags are called, what values they take, and which of them are not for users."""
