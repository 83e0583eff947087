package io.github.kerascdd.core;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import org.junit.Test;

public class ManifestTest {
  static final String TEXT =
      "{'format': 'keras_cdd manifest', 'version': 1, 'model': {'file': 'model.tflite', 'sha256': 'MODEL', 'bytes': 9,"
          + " 'image_height': 64, 'image_width': 48, 'input_type': 'uint8', 'embedding_size': 32,"
          + " 'output_type': 'float32', 'output_scale': 0.0, 'output_zero_point': 0},"
          + " 'gallery': {'file': 'gallery.sqlite', 'sha256': 'GALLERY', 'images': 4, 'embedding_type': 'int8'},"
          + " 'samples': [{'file': 'samples/0.png', 'identity': 'cup'}, {'file': 'samples/1.png', 'identity': null}]}";

  static final String MODEL = Files.sha256(new byte[0]);
  static final String GALLERY = Files.sha256(new byte[1]);

  /** With these SHA-256. */
  static String json(String model, String gallery) {
    return TEXT.replace('\'', '"').replace("MODEL", model).replace("GALLERY", gallery);
  }

  static String json() {
    return json(MODEL, GALLERY);
  }

  private static void refused(String text, String reason) {
    InvalidFileException e = assertThrows(InvalidFileException.class, () -> Manifest.parse(text));
    assertTrue(e.getMessage(), e.getMessage().contains(reason));
  }

  @Test
  public void everyPartIsRead() throws Exception {
    Manifest manifest = Manifest.parse(json());
    assertEquals("model.tflite", manifest.modelFile);
    assertEquals(MODEL, manifest.modelSha256);
    assertEquals(64, manifest.imageHeight);
    assertEquals(48, manifest.imageWidth);
    assertEquals(32, manifest.embeddingSize);
    assertEquals(GALLERY, manifest.gallerySha256);
    assertEquals("samples/0.png", manifest.samples.get(0).file);
    assertEquals("cup", manifest.samples.get(0).identity);
    assertNull(manifest.samples.get(1).identity);
  }

  @Test
  public void whatIsNoManifestIsRefused() {
    refused("", "damaged");
    refused("[1, 2]", "damaged");
    refused("{}", "no keras_cdd manifest");
    refused(json().replace("\"version\": 1", "\"version\": 2"), "version 2");
    refused(json().replace("\"uint8\"", "\"int8\""), "uint8");
    refused(json().replace("\"image_width\": 48,", ""), "incomplete");
    refused(json().replace("\"gallery\"", "\"galerie\""), "incomplete");
    refused(json().replace("\"image_width\": 48", "\"image_width\": \"48\""), "image_width");
    refused(json().replace("\"image_width\": 48", "\"image_width\": 0"), "image_width");
    refused(json().replace(MODEL, "abc"), "sha256");
    refused(json().replace("0.0", "1e999"), "output_scale");
    refused(json().replace("\"int8\"", "\"int4\""), "embedding_type");
    refused(json().replace("\"cup\"", "7"), "identity");
  }

  @Test
  public void noNameLeadsOutOfTheFolder() {
    refused(json().replace("model.tflite", "../model.tflite"), "outside");
    refused(json().replace("samples/0.png", "/etc/passwd"), "outside");
  }

  @Test
  public void everyBeginningIsRefusedOrRead() {
    String text = json();
    for (int length = 0; length < text.length(); length++) {
      String start = text.substring(0, length);
      assertThrows(InvalidFileException.class, () -> Manifest.parse(start));
    }
  }
}
