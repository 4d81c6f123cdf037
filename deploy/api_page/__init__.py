"""docs/api.md, generated from the catalogue and from an example of each request and event."""
