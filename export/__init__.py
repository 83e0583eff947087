"""From the slim student to files that are proven: TFLite, quantization, gallery, search."""
