"""Learning from items that never leave: the device side of the head solved from sums."""
