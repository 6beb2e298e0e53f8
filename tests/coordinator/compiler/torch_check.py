"""Compares compiled gradients with torch's; run by the peers' Python, see `test_torch.py`.

    python torch_check.py FOLDER NAME...

Each NAME.npz in the folder holds weights, a batch, and the gradients of a compiled step. Prints one
object: by name, the largest error of any parameter, in shares of its largest gradient.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch_twins import TWINS, soft_cross_entropy


def error(name: str, file: dict[str, np.ndarray]) -> float:
    """Return the largest error of one network's gradients."""
    twin = TWINS[name]().eval()
    weights = {key[2:]: torch.tensor(file[key]) for key in file if key.startswith("w/")}
    missing = twin.load_state_dict(weights, strict=False)
    assert not missing.unexpected_keys, missing
    loss = soft_cross_entropy(
        twin(torch.tensor(file["x"])), torch.tensor(file["target"]), torch.tensor(file["weight"])
    )
    loss.backward()
    assert abs(float(loss.detach()) - float(file["loss"])) < 1e-5
    worst = 0.0
    for key, parameter in twin.named_parameters():
        expected = parameter.grad.numpy()
        worst = max(
            worst, float(np.abs(file[f"g/{key}"] - expected).max() / np.abs(expected).max())
        )
    return worst


if __name__ == "__main__":
    torch.set_num_threads(1)
    found = {n: error(n, dict(np.load(Path(sys.argv[1]) / f"{n}.npz"))) for n in sys.argv[2:]}
    print(json.dumps(found))
