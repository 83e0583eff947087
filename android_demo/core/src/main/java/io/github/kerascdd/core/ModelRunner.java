package io.github.kerascdd.core;

import java.io.Closeable;

/** A model in an interpreter; not thread-safe. */
public interface ModelRunner extends Closeable {
  /** Height of the images that the model takes, in pixels. */
  int imageHeight();

  /** Width of the images that the model takes, in pixels. */
  int imageWidth();

  /** Number of values of an embedding. */
  int embeddingSize();

  /**
   * Runs the model once.
   *
   * @param rgb bytes of height * width * 3 pixels.
   * @return the embedding, dequantized, not normalised.
   */
  float[] run(byte[] rgb);

  @Override
  void close();
}
