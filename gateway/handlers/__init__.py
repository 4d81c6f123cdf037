"""What the gateway answers by itself, by domain."""
