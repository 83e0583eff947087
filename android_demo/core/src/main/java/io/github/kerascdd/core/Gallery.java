package io.github.kerascdd.core;

import java.io.Closeable;
import java.io.IOException;
import java.io.OutputStream;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * A `gallery.sqlite` of export.build_gallery: embeddings in a mapped file, all else read on demand, so that memory does
 * not grow with the number of images. Not thread-safe.
 */
public final class Gallery implements Closeable {
  /** Path prefix of images that were added on this device. */
  public static final String ADDED = "added/";

  private static final String META = "SELECT key, value FROM meta";
  /** Android reads a long result in windows, and runs the query again to skip to each of them. */
  private static final String EMBEDDINGS =
      "SELECT id, embedding, scale FROM images WHERE id > ? ORDER BY id LIMIT 4096";

  private static final String IMAGE = "SELECT path, identity FROM images WHERE id = ?";
  /** SQLite stores anything anywhere, and hands out numbers as texts. */
  private static final String ODD =
      "SELECT count(*) FROM images WHERE typeof(id) != 'integer' OR typeof(path) != 'text'"
          + " OR typeof(identity) NOT IN ('text', 'null') OR typeof(camera) NOT IN ('text', 'null')"
          + " OR typeof(embedding) != 'blob' OR typeof(scale) != 'real' OR typeof(thumbnail) != 'blob'";
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
  private final VectorFile file;
  private final VectorTable vectors;

  /**
   * Opens a gallery; on failure the caller has to close the database. If the file of its vectors is missing, all
   * embeddings are checked and written to it.
   *
   * @param file that belongs to this database.
   * @throws InvalidFileException if the database is damaged or not a gallery of this version.
   */
  public Gallery(Database database, VectorFile file) throws IOException {
    this.database = database;
    this.file = file;
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
    int rowBytes = VectorTable.rowBytes(embeddingType, embeddingSize);
    if (!file.exists(rowBytes)) {
      file.write(this::writeRows);
    }
    vectors = new VectorTable(embeddingType, embeddingSize, file.map(rowBytes));
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

  private void writeRows(OutputStream out) throws IOException {
    if (number(ODD) > 0) {
      throw damaged("a row holds something else than it should");
    }
    long last = Long.MIN_VALUE;
    long before;
    do {
      before = last;
      last = writeRowsAfter(last, out);
    } while (last != before);
  }

  /** Writes the next rows; returns the last id, or the same if there are no more. */
  private long writeRowsAfter(long last, OutputStream out) throws IOException {
    try (Database.Rows rows = database.query(EMBEDDINGS, last)) {
      while (rows.next()) {
        long id = rows.integer(0);
        byte[] embedding = rows.blob(1);
        double scale = rows.real(2);
        if (id <= last || embedding == null
            || embedding.length != embeddingSize * embeddingType.bytesPerValue
            || !(Math.abs(scale / embeddingType.scaleOf(embedding) - 1) < 1e-6)) {
          throw damaged("image " + id + " has no valid embedding");
        }
        out.write(VectorTable.row(embeddingType, embeddingSize, id, embedding, scale));
        last = id;
      }
    }
    return last;
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
    return vectors.size();
  }

  /** The image at a position in the order of the ids, or null if there are not so many. */
  public GalleryImage image(int position) throws IOException {
    return position < 0 || position >= size() ? null : imageOf(vectors.id(vectors.rowAt(position)));
  }

  private GalleryImage imageOf(long id) throws IOException {
    try (Database.Rows rows = database.query(IMAGE, id)) {
      String path = rows.next() ? rows.text(0) : null;
      if (path == null) {
        throw damaged("image " + id + " is missing");
      }
      return new GalleryImage(id, path, rows.text(1));
    }
  }

  /** The k images most similar to a unit vector, best first, ties ordered by id. */
  public List<Match> search(float[] query, int k) throws IOException {
    List<Match> matches = new ArrayList<>();
    for (int row : vectors.nearest(query, k)) {
      matches.add(new Match(imageOf(vectors.id(row)), vectors.similarity(query, row)));
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
    file.delete();
    database.execute(ADD, id, image.path, identity, stored, scale, thumbnail);
    vectors.add(id, stored, scale);
    return image;
  }

  /** Removes an image permanently; does nothing if it is already gone. */
  public void remove(long id) throws IOException {
    file.delete();
    database.execute(REMOVE, id);
    vectors.remove(id);
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
