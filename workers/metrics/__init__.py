"""Samples of a host, once a second."""
