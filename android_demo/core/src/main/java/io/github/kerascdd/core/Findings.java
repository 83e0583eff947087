package io.github.kerascdd.core;

import java.util.List;

/** The results of a search for a photo, and how long it took. */
public final class Findings {
  /** Best first. */
  public final List<Match> matches;

  public final int gallerySize;

  /** Embedding of the photo, normalised to length 1. */
  public final float[] embedding;

  /** Time of resizing and of the model. */
  public final double embedMilliseconds;

  public final double searchMilliseconds;

  Findings(List<Match> matches, int gallerySize, float[] embedding, long embedNanoseconds, long searchNanoseconds) {
    this.matches = matches;
    this.gallerySize = gallerySize;
    this.embedding = embedding;
    embedMilliseconds = embedNanoseconds / 1e6;
    searchMilliseconds = searchNanoseconds / 1e6;
  }

  public double milliseconds() {
    return embedMilliseconds + searchMilliseconds;
  }
}
