"""Collects, stores and publishes every log line."""
