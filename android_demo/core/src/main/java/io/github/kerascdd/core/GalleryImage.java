package io.github.kerascdd.core;

/** A gallery image, without its thumbnail and embedding. */
public final class GalleryImage {
  public final long id;
  public final String path;

  /** Its identity, or null if unknown. */
  public final String identity;

  GalleryImage(long id, String path, String identity) {
    this.id = id;
    this.path = path;
    this.identity = identity;
  }

  /** The identity, or the file's name if that is unknown. */
  public String name() {
    return identity != null ? identity : path.substring(path.lastIndexOf('/') + 1);
  }
}
