"""What both sides of the backplane need: the contract, the bus, settings, errors, logging."""
