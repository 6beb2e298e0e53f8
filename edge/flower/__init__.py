"""The light node: a device speaks Flower's fleet protocol itself, in the agent's own process.

Nothing here imports Flower. The protocol is a handful of small messages, written down in
:mod:`edge.flower.fleet` and held to Flower's own definitions by tests. An app is never asked for,
let alone run: what a device does is what is installed on it.
"""
