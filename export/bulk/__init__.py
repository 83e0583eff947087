"""Embeddings of many images as Parquet files, by any number of processes (NumPy, Pillow, pyarrow, a runtime)."""
