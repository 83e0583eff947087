"""Galleries of embeddings (NumPy, Pillow and a TFLite runtime only)."""
