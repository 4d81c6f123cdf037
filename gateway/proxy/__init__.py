"""The inference entrance: OpenAI-compatible HTTP, relayed to the engines."""
