package io.github.kerascdd.desktop;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertNotEquals;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;
import static org.junit.Assume.assumeTrue;

import io.github.kerascdd.core.EmbeddingType;
import io.github.kerascdd.core.Gallery;
import io.github.kerascdd.core.GalleryImage;
import io.github.kerascdd.core.InvalidFileException;
import io.github.kerascdd.core.Match;
import io.github.kerascdd.core.VectorFile;
import io.github.kerascdd.core.Vectors;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.Before;
import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;

public class GalleryTest {
  private static final int SIZE = 16;
  private static final byte[] THUMBNAIL = {1, 2, 3};
  private static final File OPEN_FILES = new File("/proc/self/fd");

  @Rule public final TemporaryFolder temporary = new TemporaryFolder();
  private File file;
  private File vectors;

  @Before
  public void writeGallery() throws IOException {
    file = new File(temporary.getRoot(), "gallery.sqlite");
    vectors = new File(temporary.getRoot(), "vectors");
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
    JdbcDatabase database = new JdbcDatabase(file, false);
    try {
      return new Gallery(database, new VectorFile(file, vectors));
    } catch (IOException | RuntimeException e) {
      database.close();
      throw e;
    }
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
        assertEquals("1.png", gallery.image(0).name());
        assertEquals("thing 4", gallery.image(7).name());
        assertNull(gallery.image(8));
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

  private File onlyVectors() {
    File[] files = vectors.listFiles();
    assertEquals(1, files.length);
    return files[0];
  }

  @Test
  public void theVectorsAreWrittenOnceAndAgainForAnotherGallery() throws Exception {
    open().close();
    File first = onlyVectors();
    assertEquals(8 * (24 + SIZE), first.length());
    assertTrue(first.setLastModified(1_000_000_000_000L));
    open().close();
    assertEquals(1_000_000_000_000L, onlyVectors().lastModified()); // not written again
    change("UPDATE images SET embedding = (SELECT embedding FROM images WHERE id = 1) WHERE id = 8");
    change("UPDATE images SET scale = (SELECT scale FROM images WHERE id = 1) WHERE id = 8");
    try (Gallery gallery = open()) {
      assertNotEquals(first, onlyVectors());
      assertEquals(8, gallery.search(vector(1), 2).get(1).image.id);
    }
    // Another gallery of the same length and number of changes.
    File before = onlyVectors();
    assertTrue(file.setLastModified(file.lastModified() + 2000));
    open().close();
    assertNotEquals(before, onlyVectors());
  }

  @Test
  public void aChangedGalleryHasNoVectorsUntilItIsOpenedAgain() throws Exception {
    try (Gallery gallery = open()) {
      gallery.add("teapot", vector(100), THUMBNAIL);
      assertEquals(0, vectors.list().length);
      gallery.remove(3);
      assertEquals("teapot", gallery.search(vector(100), 1).get(0).image.identity);
      assertEquals(4, gallery.image(2).id);
    }
    try (Gallery gallery = open()) {
      assertEquals(8, gallery.size());
      assertEquals(8 * (24 + SIZE), onlyVectors().length());
      assertEquals(4, gallery.image(2).id);
    }
  }

  @Test
  public void aGalleryThatIsRefusedLeavesNoVectors() throws Exception {
    change("UPDATE images SET scale = 1e300 WHERE id = 5");
    refused("image 5 has no valid embedding");
    assertEquals(0, vectors.list().length);
  }

  /** In a JVM of its own: the folder for temporary files is looked up once. */
  @Test
  public void withoutATemporaryFolderNoConnectionStaysOpen() throws Exception {
    assumeTrue(OPEN_FILES.isDirectory());
    String java = new File(System.getProperty("java.home"), "bin/java").getPath();
    Process process =
        new ProcessBuilder(
                java, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Djava.io.tmpdir=" + new File(vectors, "missing"),
                "-Dorg.sqlite.tmpdir=" + temporary.getRoot(), "-cp", System.getProperty("java.class.path"),
                WithoutTemporaryFolder.class.getName(), file.getCanonicalPath())
            .inheritIO()
            .start();
    assertEquals(0, process.waitFor());
  }

  /** Fails if a gallery can be opened, or is open afterwards. */
  public static final class WithoutTemporaryFolder {
    public static void main(String[] arguments) throws Exception {
      File file = new File(arguments[0]);
      new JdbcDatabase(file, true).close(); // this works
      assertThrows(NoSuchFileException.class, () -> JdbcDatabase.openGallery(file, true));
      for (File open : OPEN_FILES.listFiles()) {
        assertNotEquals(file, open.getCanonicalFile());
      }
    }
  }

  @Test
  public void aGalleryOfManyPagesIsReadWhole() throws Exception {
    byte[] stored = EmbeddingType.INT8.encode(vector(7));
    change(
        "WITH RECURSIVE n(id) AS (SELECT 9 UNION ALL SELECT id + 1 FROM n WHERE id < 9000)"
            + " INSERT INTO images SELECT id, 'many/' || id, NULL, NULL, ?, ?, ? FROM n",
        stored, EmbeddingType.INT8.scaleOf(stored), THUMBNAIL);
    try (Gallery gallery = open()) {
      assertEquals(9000, gallery.size());
      assertEquals(9000, gallery.image(8999).id);
      List<Match> found = gallery.search(vector(7), 3);
      assertEquals(7, found.get(0).image.id);
      assertEquals(9, found.get(1).image.id);
      assertEquals(10, found.get(2).image.id);
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
