"""One batch of items through one Python function, in a process that may be stopped at any time.

Run by path, never imported. It reads one JSON object, imports the function, and answers with one;
what the function itself prints goes nowhere.
"""

import importlib
import json
import os
import sys


def answer() -> None:
    """Read the request, call the function, write the votes."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    asked = json.load(sys.stdin)
    sys.path[:] = asked["path"]
    module, _, attributes = asked["function"].partition(":")
    found: object = importlib.import_module(module)
    for name in attributes.split("."):
        found = getattr(found, name)
    if not callable(found):
        raise TypeError(asked["function"])
    json.dump(list(found(asked["items"])), out)
    out.close()


if __name__ == "__main__":
    answer()
