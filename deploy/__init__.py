"""Launcher, CLI and what a host needs to run the processes."""
