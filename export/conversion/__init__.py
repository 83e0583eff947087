"""Converts Keras models to the bytes of TFLite files."""
