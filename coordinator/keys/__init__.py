"""The owner's keys: who may sign what, who is a device of the fleet, and how it becomes one."""
