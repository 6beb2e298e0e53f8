"""What runs at the centre: rounds, the inbox, the labeling desk, and the shelf of models.

One door leads in: coordinator.inbox.
"""
