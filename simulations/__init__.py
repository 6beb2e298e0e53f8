"""A whole fleet on one machine, running the very programs a deployment runs."""
