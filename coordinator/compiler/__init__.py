"""Compiles a model into its own train step: reverse-mode differentiation from ONNX to ONNX.

A device that can score a model can then train it, with nothing but ONNX Runtime.
"""

from coordinator.compiler.finite_differences import verify
from coordinator.compiler.step import TrainStep, compile_step, last_layers
from coordinator.compiler.terms import Terms

__all__ = ["Terms", "TrainStep", "compile_step", "last_layers", "verify"]
