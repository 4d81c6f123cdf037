"""Owns `config.toml`: checks, writes and publishes what is configured."""
