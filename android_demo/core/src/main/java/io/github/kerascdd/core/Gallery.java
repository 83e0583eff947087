package io.github.kerascdd.core;

import java.io.Closeable;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * A `gallery.sqlite` of export.build_gallery: embeddings in memory, thumbnails read on demand.
 * Not thread-safe.
 */
public final class Gallery implements Closeable {
  /** Path prefix of images that were added on this device. */
  public static final String ADDED = "added/";

  private static final String META = "SELECT key, value FROM meta";
  private static final String COUNT = "SELECT count(*) FROM images";
  private static final String IMAGES = "SELECT id, path, identity, embedding, scale FROM images ORDER BY id";
  /** SQLite stores anything anywhere, and hands out numbers as texts. */
  private static final String ODD =
      "SELECT count(*) FROM images WHERE typeof(path) != 'text' OR typeof(identity) NOT IN ('text', 'null')"
          + " OR typeof(camera) NOT IN ('text', 'null') OR typeof(embedding) != 'blob' OR typeof(scale) != 'real'"
          + " OR typeof(thumbnail) != 'blob'";
  private static final String THUMBNAIL = "SELECT thumbnail FROM images WHERE id = ?";
  private static final String LAST = "SELECT max(id) FROM images";
  private static final String ADD =
      "INSERT INTO images (id, path, identity, camera, embedding, scale, thumbnail) VALUES (?, ?, ?, NULL, ?, ?, ?)";
  private static final String REMOVE = "DELETE FROM images WHERE id = ?";
  private static final String CHECK = "PRAGMA quick_check(1)";
  private static final int LARGEST_EMBEDDING = 1 << 16;
  private static final int LARGEST_SIDE = 8192;

  /** SHA-256 of the model that made the embeddings, in hexadecimal. */
  public final String modelSha256;

  public final int embeddingSize;
  public final EmbeddingType embeddingType;
  private final Database database;
  private final List<GalleryImage> images = new ArrayList<>();
  private final VectorTable vectors;

  /**
   * Reads a gallery; on failure the caller has to close the database.
   *
   * @throws InvalidFileException if the database is damaged or not a gallery of this version.
   */
  public Gallery(Database database) throws IOException {
    this.database = database;
    Map<String, String> meta = readMeta();
    modelSha256 = meta.get("model_sha256");
    embeddingType = EmbeddingType.named(meta.get("embedding_type"));
    embeddingSize = number(meta, "embedding_size", LARGEST_EMBEDDING);
    int height = number(meta, "image_height", LARGEST_SIDE);
    int width = number(meta, "image_width", LARGEST_SIDE);
    String other = meta.get("gallery_model_sha256");
    boolean named = isSha256(modelSha256) && (other == null || isSha256(other));
    if (!named || embeddingType == null || Math.min(embeddingSize, Math.min(height, width)) < 1) {
      throw damaged("its description is incomplete");
    }
    vectors = readImages();
  }

  private Map<String, String> readMeta() throws IOException {
    Map<String, String> meta = new HashMap<>();
    try (Database.Rows rows = database.query(META)) {
      while (rows.next()) {
        meta.put(rows.text(0), rows.text(1));
      }
    }
    if (!"keras_cdd gallery".equals(meta.get("format"))) {
      throw new InvalidFileException("This is no keras_cdd gallery; make one with export.build_gallery.");
    }
    if (!"1".equals(meta.get("version"))) {
      throw new InvalidFileException(
          "The gallery has version " + meta.get("version") + ", but this program reads version 1;"
              + " build it again with a matching export.build_gallery.");
    }
    return meta;
  }

  private VectorTable readImages() throws IOException {
    if (number(ODD) > 0) {
      throw damaged("a row holds something else than it should");
    }
    VectorTable table = new VectorTable(embeddingType, embeddingSize, (int) number(COUNT));
    try (Database.Rows rows = database.query(IMAGES)) {
      while (rows.next()) {
        GalleryImage image = new GalleryImage(rows.integer(0), rows.text(1), rows.text(2));
        byte[] embedding = rows.blob(3);
        double scale = rows.real(4);
        boolean ascending = images.isEmpty() || image.id > images.get(images.size() - 1).id;
        if (!ascending || image.path == null || embedding == null
            || embedding.length != embeddingSize * embeddingType.bytesPerValue
            || !(Math.abs(scale / embeddingType.scaleOf(embedding) - 1) < 1e-6)) {
          throw damaged("image " + image.id + " has no valid embedding");
        }
        table.add(embedding, scale);
        images.add(image);
      }
    }
    return table;
  }

  /** Reads every page of the file: slow for a large one. */
  public void check() throws IOException {
    try (Database.Rows rows = database.query(CHECK)) {
      if (!rows.next() || !"ok".equals(rows.text(0))) {
        throw damaged("its pages do not fit together");
      }
    }
  }

  public int size() {
    return images.size();
  }

  /** All images, in the order of their ids. */
  public List<GalleryImage> images() {
    return new ArrayList<>(images);
  }

  /** The k images most similar to a unit vector, best first, ties ordered by id. */
  public List<Match> search(float[] query, int k) {
    List<Match> matches = new ArrayList<>();
    for (int row : vectors.nearest(query, k)) {
      matches.add(new Match(images.get(row), vectors.similarity(query, row)));
    }
    return matches;
  }

  /** JPEG bytes of the thumbnail of an image, or null if the image was removed. */
  public byte[] thumbnail(long id) throws IOException {
    try (Database.Rows rows = database.query(THUMBNAIL, id)) {
      return rows.next() ? rows.blob(0) : null;
    }
  }

  /**
   * Stores an image permanently.
   *
   * @param identity what the image shows.
   * @param embedding of length 1.
   * @param thumbnail a JPEG, its longest side 96 pixels.
   */
  public GalleryImage add(String identity, float[] embedding, byte[] thumbnail) throws IOException {
    long id = number(LAST) + 1;
    GalleryImage image = new GalleryImage(id, ADDED + id + "/" + identity, identity);
    byte[] stored = embeddingType.encode(embedding);
    double scale = embeddingType.scaleOf(stored);
    database.execute(ADD, id, image.path, identity, stored, scale, thumbnail);
    images.add(image);
    vectors.add(stored, scale);
    return image;
  }

  /** Removes an image permanently; does nothing if it is already gone. */
  public void remove(long id) throws IOException {
    database.execute(REMOVE, id);
    for (int row = 0; row < images.size(); row++) {
      if (images.get(row).id == id) {
        images.remove(row);
        vectors.remove(row);
        return;
      }
    }
  }

  @Override
  public void close() {
    database.close();
  }

  private long number(String sql) throws IOException {
    try (Database.Rows rows = database.query(sql)) {
      return rows.next() ? rows.integer(0) : 0;
    }
  }

  /** A number from 1 to `most`, else -1. */
  private static int number(Map<String, String> meta, String key, int most) {
    String text = meta.get(key);
    int number = text != null && text.matches("[0-9]{1,9}") ? Integer.parseInt(text) : -1;
    return number <= most ? number : -1;
  }

  private static boolean isSha256(String text) {
    return text != null && text.matches("[0-9a-f]{64}");
  }

  private static InvalidFileException damaged(String how) {
    return new InvalidFileException("The gallery is damaged (" + how + "); build it again with export.build_gallery.");
  }
}
