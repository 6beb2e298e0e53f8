"""The words everyone uses: errors, values on the wire, tasks, random streams, settings.

Imports nothing of ours.
"""
