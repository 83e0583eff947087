"""Galleries of embeddings; needs only NumPy, Pillow and a TFLite runtime."""
