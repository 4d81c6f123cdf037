"""The model files of a host: found, read, judged and published."""
