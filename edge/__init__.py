"""What runs on a device. One door leads out: edge.outbox."""
