package io.github.kerascdd.core;

/** What is known of a gallery image, its thumbnail and embedding aside. */
public final class GalleryImage {
  public final long id;
  public final String path;

  /** What it shows, or null if the gallery does not say. */
  public final String identity;

  GalleryImage(long id, String path, String identity) {
    this.id = id;
    this.path = path;
    this.identity = identity;
  }

  /** The identity, or else the file's name. */
  public String name() {
    return identity != null ? identity : path.substring(path.lastIndexOf('/') + 1);
  }
}
