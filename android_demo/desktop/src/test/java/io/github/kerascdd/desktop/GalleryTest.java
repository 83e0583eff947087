package io.github.kerascdd.desktop;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import io.github.kerascdd.core.EmbeddingType;
import io.github.kerascdd.core.Gallery;
import io.github.kerascdd.core.GalleryImage;
import io.github.kerascdd.core.InvalidFileException;
import io.github.kerascdd.core.Match;
import io.github.kerascdd.core.Vectors;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.util.Arrays;
import java.util.Random;
import org.junit.Before;
import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;

public class GalleryTest {
  private static final int SIZE = 16;
  private static final byte[] THUMBNAIL = {1, 2, 3};

  @Rule public final TemporaryFolder temporary = new TemporaryFolder();
  private File file;

  @Before
  public void writeGallery() throws IOException {
    file = new File(temporary.getRoot(), "gallery.sqlite");
    write(EmbeddingType.INT8);
  }

  private static float[] vector(long seed) {
    float[] vector = new float[SIZE];
    Random random = new Random(seed);
    for (int i = 0; i < SIZE; i++) {
      vector[i] = (float) random.nextGaussian();
    }
    return Vectors.unit(vector);
  }

  private void write(EmbeddingType type) throws IOException {
    Files.write(file.toPath(), new byte[0]);
    try (JdbcDatabase database = new JdbcDatabase(file, false)) {
      database.execute("CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL)");
      database.execute(
          "CREATE TABLE images(id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, identity TEXT, camera TEXT,"
              + " embedding BLOB NOT NULL, scale REAL NOT NULL, thumbnail BLOB NOT NULL)");
      String[] meta = {
        "format", "keras_cdd gallery", "version", "1", "model_sha256", String.format("%064d", 7),
        "image_height", "8", "image_width", "8",
        "embedding_size", "" + SIZE, "embedding_type", type.text
      };
      for (int i = 0; i < meta.length; i += 2) {
        database.execute("INSERT INTO meta VALUES (?, ?)", meta[i], meta[i + 1]);
      }
      for (long id = 1; id <= 8; id++) {
        byte[] stored = type.encode(vector(id));
        database.execute(
            "INSERT INTO images VALUES (?, ?, ?, NULL, ?, ?, ?)",
            id, "shelf/" + id + ".png", id == 1 ? null : "thing " + id / 2, stored, type.scaleOf(stored), THUMBNAIL);
      }
    }
  }

  private Gallery open() throws IOException {
    return new Gallery(new JdbcDatabase(file, false));
  }

  private void change(String sql, Object... parameters) throws IOException {
    try (JdbcDatabase database = new JdbcDatabase(file, false)) {
      database.execute(sql, parameters);
    }
  }

  private void refused(String reason) {
    InvalidFileException e = assertThrows(InvalidFileException.class, () -> open().close());
    assertTrue(e.getMessage(), e.getMessage().contains(reason));
  }

  @Test
  public void bothTypesFindEveryImageByItsOwnVector() throws Exception {
    for (EmbeddingType type : EmbeddingType.values()) {
      write(type);
      try (Gallery gallery = open()) {
        gallery.check();
        assertEquals(8, gallery.size());
        for (long id = 1; id <= 8; id++) {
          Match best = gallery.search(vector(id), 3).get(0);
          assertEquals(id, best.image.id);
          assertEquals(1, best.similarity, 1e-3);
        }
        assertEquals("1.png", gallery.images().get(0).name());
        assertArrayEquals(THUMBNAIL, gallery.thumbnail(3));
        assertNull(gallery.thumbnail(99));
      }
    }
  }

  @Test
  public void addedAndRemovedImagesStaySoWhenOpenedAgain() throws Exception {
    long id;
    try (Gallery gallery = open()) {
      GalleryImage added = gallery.add("teapot; DROP TABLE images", vector(100), THUMBNAIL);
      id = added.id;
      assertTrue(added.path.startsWith(Gallery.ADDED));
      gallery.remove(2);
      assertEquals(id, gallery.search(vector(100), 1).get(0).image.id);
    }
    try (Gallery gallery = open()) {
      assertEquals(8, gallery.size());
      Match best = gallery.search(vector(100), 1).get(0);
      assertEquals("teapot; DROP TABLE images", best.image.identity);
      assertTrue(gallery.search(vector(2), 8).stream().noneMatch(match -> match.image.id == 2));
      gallery.remove(id);
      gallery.remove(id);
      gallery.add("teapot", vector(100), THUMBNAIL);
      gallery.add("teapot", vector(100), THUMBNAIL);
      assertEquals(9, gallery.size());
    }
  }

  @Test
  public void foreignFilesAreRefused() throws Exception {
    change("UPDATE meta SET value = '2' WHERE key = 'version'");
    refused("version 2");
    change("UPDATE meta SET value = 'photos' WHERE key = 'format'");
    refused("no keras_cdd gallery");
    change("DROP TABLE meta");
    refused("no gallery");
    Files.write(file.toPath(), new byte[4096]);
    refused("no gallery");
    Files.delete(file.toPath());
    refused("There is no gallery");
  }

  @Test
  public void damagedRowsAreNamed() throws Exception {
    change("UPDATE images SET embedding = ? WHERE id = 3", (Object) new byte[SIZE - 1]);
    refused("image 3 has no valid embedding");
    write(EmbeddingType.INT8);
    change("UPDATE images SET embedding = ? WHERE id = 4", (Object) new byte[SIZE]);
    refused("image 4 has no valid embedding");
    write(EmbeddingType.FLOAT16);
    change("UPDATE images SET scale = 1e300 WHERE id = 5");
    refused("image 5 has no valid embedding");
    change("UPDATE meta SET value = '-3' WHERE key = 'embedding_size'");
    refused("incomplete");
    change("UPDATE meta SET value = 'many' WHERE key = 'embedding_size'");
    refused("incomplete");
    write(EmbeddingType.INT8);
    change("UPDATE meta SET value = 'abc' WHERE key = 'model_sha256'");
    refused("incomplete");
    write(EmbeddingType.INT8);
    byte[] whole = Files.readAllBytes(file.toPath());
    Files.write(file.toPath(), Arrays.copyOf(whole, whole.length - 1));
    refused("its end is missing");
  }

  /** Any bytes give either a clear error or a readable gallery: no other exception, no crash, no endless loop. */
  @Test
  public void noDamageDoesMoreThanBeRefused() throws Exception {
    byte[] whole = Files.readAllBytes(file.toPath());
    Random random = new Random(5);
    int refused = 0;
    for (int trial = 0; trial < 400; trial++) {
      byte[] damaged = trial % 4 == 0 ? Arrays.copyOf(whole, random.nextInt(whole.length)) : whole.clone();
      for (int flips = trial % 4; flips > 0 && damaged.length > 0; flips--) {
        damaged[random.nextInt(damaged.length)] ^= (byte) (1 << random.nextInt(8));
      }
      Files.write(file.toPath(), damaged);
      try (Gallery gallery = open()) {
        gallery.check();
        gallery.search(vector(1), 3);
        gallery.thumbnail(1);
      } catch (InvalidFileException e) {
        refused++;
      }
    }
    assertTrue(refused + " refused", refused >= 100);
  }
}
