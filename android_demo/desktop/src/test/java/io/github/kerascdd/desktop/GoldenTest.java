package io.github.kerascdd.desktop;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;
import static org.junit.Assume.assumeTrue;

import io.github.kerascdd.core.Files;
import io.github.kerascdd.core.Finder;
import io.github.kerascdd.core.Findings;
import io.github.kerascdd.core.Gallery;
import io.github.kerascdd.core.Manifest;
import io.github.kerascdd.core.Match;
import io.github.kerascdd.core.Pair;
import io.github.kerascdd.core.Resizer;
import io.github.kerascdd.core.RgbImage;
import java.io.File;
import java.nio.charset.StandardCharsets;
import org.json.JSONArray;
import org.json.JSONObject;
import org.junit.Before;
import org.junit.Test;

/**
 * The phone's code against Python's, on the real model: equal tensors, embeddings at cosine 0.999, the
 * same rankings except for near ties. `-Dassets` and `-Dgolden` name folders of export.android_assets.
 */
public class GoldenTest {
  /** Kernels of different libraries differ in the last step of an int8 value. */
  private static final double LEAST_COSINE = 0.999;

  private static final double NEAR_TIE = 0.02;
  private static final File ASSETS = new File(System.getProperty("assets", "../app/src/main/assets"));
  private static final File GOLDEN =
      new File(System.getProperty("golden", "../core/src/test/resources/golden"));

  private JSONObject golden;

  @Before
  public void readGolden() throws Exception {
    assumeTrue(
        "no golden vectors: make android writes them by export.android_assets",
        new File(GOLDEN, "golden.json").isFile() && new File(ASSETS, Manifest.FILE).isFile());
    golden = new JSONObject(new String(Files.read(new File(GOLDEN, "golden.json")), StandardCharsets.UTF_8));
  }

  @Test
  public void tensorsAreByteEqual() throws Exception {
    JSONArray images = golden.getJSONArray("images");
    for (int i = 0; i < images.length(); i++) {
      JSONObject image = images.getJSONObject(i);
      byte[] expected = Files.read(new File(GOLDEN, image.getString("tensor")));
      RgbImage photo = PhotoReader.read(new File(GOLDEN, image.getString("file")));
      byte[] tensor = Resizer.resize(photo, golden.getInt("image_width"), golden.getInt("image_height")).rgb;
      assertArrayEquals(image.getString("file"), expected, tensor);
      assertEquals(image.getString("tensor_sha256"), Files.sha256(tensor));
    }
    assertTrue(images.length() > 0);
  }

  @Test
  public void embeddingsAndRankingsAgree() throws Exception {
    Pair pair = new Pair(ASSETS);
    Gallery gallery = JdbcDatabase.openGallery(pair.galleryFile(), true);
    JSONArray images = golden.getJSONArray("images");
    double least = 1;
    int sameFirst = 0;
    try (Finder finder = new Finder(new JvmRunner(pair.model()), pair.manifest.modelSha256, gallery)) {
      for (int i = 0; i < images.length(); i++) {
        JSONObject image = images.getJSONObject(i);
        JSONArray ranking = image.getJSONArray("ranking");
        Findings found = finder.find(PhotoReader.read(new File(GOLDEN, image.getString("file"))), ranking.length());
        least = Math.min(least, cosine(image.getJSONArray("embedding"), found.embedding));
        assertSameRanking(ranking, found);
        if (found.matches.get(0).image.path.equals(ranking.getJSONObject(0).getString("path"))) {
          sameFirst++;
        }
      }
    }
    System.out.printf("%d photos: least cosine %.6f, same first answer %d%n", images.length(), least, sameFirst);
    assertTrue("least cosine " + least, least >= LEAST_COSINE);
  }

  private static double cosine(JSONArray expected, float[] embedding) {
    assertEquals(expected.length(), embedding.length);
    double product = 0;
    for (int i = 0; i < embedding.length; i++) {
      product += expected.getDouble(i) * embedding[i];
    }
    return product;
  }

  /** A different image at a rank is accepted only if it is as similar as the expected one. */
  private static void assertSameRanking(JSONArray ranking, Findings found) {
    for (int rank = 0; rank < ranking.length(); rank++) {
      JSONObject expected = ranking.getJSONObject(rank);
      Match match = found.matches.get(rank);
      assertEquals("rank " + (rank + 1), expected.getDouble("similarity"), match.similarity, NEAR_TIE);
      if (rank == 0 && ranking.length() > 1
          && expected.getDouble("similarity") - ranking.getJSONObject(1).getDouble("similarity") > 2 * NEAR_TIE) {
        assertEquals(expected.getString("path"), match.image.path);
      }
    }
  }
}
