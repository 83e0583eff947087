package io.github.kerascdd.core;

/** A sample photo that comes with a model and gallery. */
public final class Sample {
  /** Path relative to the manifest, such as `samples/0.png`. */
  public final String file;

  /** Its identity, or null if unknown. */
  public final String identity;

  Sample(String file, String identity) {
    this.file = file;
    this.identity = identity;
  }
}
