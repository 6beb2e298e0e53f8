"""Opening a checked model in this process, set up as a device needs it."""

import os
from typing import TYPE_CHECKING

from fieldvote.errors import TaskError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


def open_session(model: bytes, where: str) -> "InferenceSession":
    """Load a model that :func:`~edge.model_guard.rules.check_model` let through.

    Raises:
        TaskError: ONNX Runtime does not take it.
    """
    # the library would otherwise write an id of this machine into the user's cache and report it
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # a device has other things to do
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # its warnings may quote what it was given
    # else bytes with a certain mark would be read as another format than the one that was checked
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except MemoryError as err:
        raise TaskError(f"{where} does not fit this device's memory") from err
    except Exception as err:  # onnxruntime's own errors share no public base class
        raise TaskError(
            f"{where} is not a model ONNX Runtime can load: {type(err).__name__}"
        ) from err
