"""The settings of a run: validated dataclasses, and flags made from them."""
