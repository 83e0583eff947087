"""What a TFLite file is worth, measured on that file."""
