"""The settings of a run: validated, and as flags."""
