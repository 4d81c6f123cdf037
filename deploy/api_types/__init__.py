"""The contract as TypeScript, for the dashboard."""
