"""Labeling functions compiled for this device, and the votes they give."""

from edge.labeling.compile import CompiledFunctions, compile_functions
from edge.labeling.items import Items

__all__ = ["CompiledFunctions", "Items", "compile_functions"]
