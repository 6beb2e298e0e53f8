"""What stands between a model's bytes and ONNX Runtime.

The bytes were signed and fit their digest before they come here; that says who answers for them,
not that they are harmless. Three things follow, and each may refuse with a
:class:`~fieldvote.errors.TaskError`:

1. :mod:`edge.model_guard.model_file` reads the file with a small, strict, bounded reader;
2. :mod:`edge.model_guard.rules` refuses what is not on the list, and what could cost more than a
   device has: after it, what a run costs depends on how many items there are, not on what they say;
3. :mod:`edge.model_guard.first_run` loads and runs the model in a process apart, which may die.
"""

from edge.model_guard.first_run import RunLimits, run_apart
from edge.model_guard.rules import Wanted, check_model

__all__ = ["RunLimits", "Wanted", "check_model", "run_apart"]
