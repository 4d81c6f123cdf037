"""Presets: llama.cpp-compatible INI files, and which of them each model is started with."""
