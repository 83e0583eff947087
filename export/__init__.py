"""Exports the slim student as a verified TFLite file and searches galleries with it."""
