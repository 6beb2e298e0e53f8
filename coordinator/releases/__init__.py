"""Releases of labeling functions: tried in shadow, judged by sums, promoted or rolled back."""
