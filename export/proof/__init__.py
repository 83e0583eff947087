"""Measures exported TFLite files: accuracy, content, latency."""
