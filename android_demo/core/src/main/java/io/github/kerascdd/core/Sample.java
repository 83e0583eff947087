package io.github.kerascdd.core;

/** A photo to try, which came with a model and gallery. */
public final class Sample {
  /** Beside the manifest, such as `samples/0.png`. */
  public final String file;

  /** What it shows, or null. */
  public final String identity;

  Sample(String file, String identity) {
    this.file = file;
    this.identity = identity;
  }
}
