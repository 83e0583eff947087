"""Embeddings of many images as Parquet files, by any number of processes; needs only NumPy, Pillow, pyarrow, a runtime."""
