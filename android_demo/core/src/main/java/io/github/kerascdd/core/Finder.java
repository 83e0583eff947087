package io.github.kerascdd.core;

import java.io.Closeable;
import java.io.IOException;
import java.util.List;

/** A model and the gallery built with it; finds the images most similar to a photo. Thread-safe. */
public final class Finder implements Closeable {
  private final ModelRunner model;
  private final Gallery gallery;

  /**
   * Takes ownership of both and closes them when it is closed.
   *
   * @param modelSha256 of the model's file.
   * @throws InvalidFileException if the gallery was built with another model; both stay open.
   */
  public Finder(ModelRunner model, String modelSha256, Gallery gallery) throws IOException {
    if (!modelSha256.equals(gallery.modelSha256) || model.embeddingSize() != gallery.embeddingSize) {
      throw new InvalidFileException(
          "The gallery was made by another model (" + start(gallery.modelSha256) + ", not " + start(modelSha256)
              + "); build it again with export.build_gallery.");
    }
    this.model = model;
    this.gallery = gallery;
  }

  /** The embedding of an image, normalised to length 1. */
  public synchronized float[] embed(RgbImage image) {
    RgbImage resized = Resizer.resize(image, model.imageWidth(), model.imageHeight());
    return Vectors.unit(model.run(resized.rgb));
  }

  /** The k gallery images that are most similar to a photo. */
  public synchronized Findings find(RgbImage photo, int k) throws IOException {
    long start = System.nanoTime();
    float[] embedding = embed(photo);
    long embedded = System.nanoTime();
    List<Match> matches = gallery.search(embedding, k);
    return new Findings(
        matches, gallery.size(), embedding, embedded - start, System.nanoTime() - embedded);
  }

  /** The model, for its input and embedding sizes. */
  public ModelRunner model() {
    return model;
  }

  /** Runs an action on the gallery while no other thread uses it. */
  public synchronized <T> T withGallery(GalleryUse<T> use) throws IOException {
    return use.on(gallery);
  }

  @Override
  public synchronized void close() {
    model.close();
    gallery.close();
  }

  private static String start(String sha256) {
    return sha256.substring(0, Math.min(8, sha256.length()));
  }

  /** An action for `withGallery`. */
  public interface GalleryUse<T> {
    T on(Gallery gallery) throws IOException;
  }
}
