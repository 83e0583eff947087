package io.github.kerascdd.core;

import java.io.Closeable;

/** A model in an interpreter; not for several threads at once. */
public interface ModelRunner extends Closeable {
  /** Height of the images that the model takes, in pixels. */
  int imageHeight();

  /** Width of the images that the model takes, in pixels. */
  int imageWidth();

  /** How many values an embedding has. */
  int embeddingSize();

  /**
   * Runs the model once.
   *
   * @param rgb bytes of height * width * 3 pixels.
   * @return the embedding, dequantized, of any length.
   */
  float[] run(byte[] rgb);

  @Override
  void close();
}
