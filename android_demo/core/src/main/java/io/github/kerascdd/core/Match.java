package io.github.kerascdd.core;

/** A gallery image and its cosine similarity to the query, -1 to 1. */
public final class Match {
  public final GalleryImage image;
  public final double similarity;

  Match(GalleryImage image, double similarity) {
    this.image = image;
    this.similarity = similarity;
  }
}
