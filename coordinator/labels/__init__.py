"""The labeling desk: the only place that opens a sealed candidate."""
