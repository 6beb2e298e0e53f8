"""Sums over devices that become a model."""
