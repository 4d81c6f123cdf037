"""Starts, watches and stops engines on its devices; scans the model files of its host."""
