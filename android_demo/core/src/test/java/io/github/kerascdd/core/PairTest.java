package io.github.kerascdd.core;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;

public class PairTest {
  private static final byte[] MODEL = "the model".getBytes(StandardCharsets.UTF_8);
  private static final byte[] GALLERY = "the gallery".getBytes(StandardCharsets.UTF_8);

  @Rule public final TemporaryFolder temporary = new TemporaryFolder();

  private static byte[] zip(Object... namesAndBytes) throws Exception {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (ZipOutputStream zip = new ZipOutputStream(bytes)) {
      for (int i = 0; i < namesAndBytes.length; i += 2) {
        zip.putNextEntry(new ZipEntry((String) namesAndBytes[i]));
        zip.write((byte[]) namesAndBytes[i + 1]);
      }
    }
    return bytes.toByteArray();
  }

  private static byte[] manifest() {
    String text = ManifestTest.json(Files.sha256(MODEL), Files.sha256(GALLERY));
    return text.getBytes(StandardCharsets.UTF_8);
  }

  private Pair unpack(byte[] zip) throws Exception {
    return Pair.unpack(new ByteArrayInputStream(zip), new File(temporary.getRoot(), "pair"));
  }

  private void refused(byte[] zip, String reason) {
    InvalidFileException e = assertThrows(InvalidFileException.class, () -> unpack(zip));
    assertTrue(e.getMessage(), e.getMessage().contains(reason));
    assertFalse(new File(temporary.getRoot(), "pair").exists());
  }

  @Test
  public void aWholePairIsUnpacked() throws Exception {
    Pair pair =
        unpack(zip("manifest.json", manifest(), "model.tflite", MODEL, "gallery.sqlite", GALLERY, "samples/0.png", MODEL));
    assertArrayEquals(MODEL, pair.model());
    assertTrue(pair.galleryFile().isFile());
    assertTrue(new File(pair.folder, "samples/0.png").isFile());
  }

  @Test
  public void missingDamagedAndForeignFilesAreNamed() throws Exception {
    refused(zip("manifest.json", manifest(), "gallery.sqlite", GALLERY), "model.tflite is missing");
    refused(zip("manifest.json", manifest(), "model.tflite", GALLERY, "gallery.sqlite", GALLERY), "model.tflite is damaged");
    refused(zip("manifest.json", manifest(), "model.tflite", MODEL, "gallery.sqlite", MODEL), "gallery.sqlite is damaged");
    refused(zip("readme.txt", MODEL), "There is no manifest.json");
    refused("no zip at all".getBytes(StandardCharsets.UTF_8), "There is no manifest.json");
  }

  @Test
  public void aCutOffFileIsRefused() throws Exception {
    byte[] whole = zip("manifest.json", manifest(), "model.tflite", MODEL, "gallery.sqlite", GALLERY);
    int directory = 200; // the central directory at the end is not read, so cut before it
    for (int length = 0; length < whole.length - directory; length += 7) {
      byte[] start = Arrays.copyOf(whole, length);
      assertThrows(InvalidFileException.class, () -> unpack(start));
    }
  }

  @Test
  public void noEntryIsWrittenOutsideTheFolder() throws Exception {
    unpack(zip("manifest.json", manifest(), "model.tflite", MODEL, "gallery.sqlite", GALLERY, "../evil", MODEL));
    assertFalse(new File(temporary.getRoot(), "evil").exists());
  }
}
