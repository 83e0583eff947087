"""Quantization-aware training, in tf_keras."""
