package io.github.kerascdd.app;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertTrue;

import android.content.Context;
import android.content.res.AssetManager;
import android.util.Log;
import androidx.test.ext.junit.runners.AndroidJUnit4;
import androidx.test.platform.app.InstrumentationRegistry;
import io.github.kerascdd.core.Files;
import io.github.kerascdd.core.Finder;
import io.github.kerascdd.core.Findings;
import io.github.kerascdd.core.Resizer;
import java.io.ByteArrayInputStream;
import java.io.File;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.json.JSONArray;
import org.json.JSONObject;
import org.junit.Test;
import org.junit.runner.RunWith;

/** On a device: tensors equal Python's byte for byte, embeddings agree at cosine 0.999; measures a search's time. */
@RunWith(AndroidJUnit4.class)
public class GoldenDeviceTest {
  private static final int RUNS = 50;
  private final AssetManager golden = InstrumentationRegistry.getInstrumentation().getContext().getAssets();
  private final DemoApp app =
      (DemoApp) InstrumentationRegistry.getInstrumentation().getTargetContext().getApplicationContext();

  private byte[] read(String name) throws Exception {
    try (InputStream in = golden.open("golden/" + name)) {
      return Files.read(in);
    }
  }

  private Photo photo(Context context, String name) throws Exception {
    File copy = new File(context.getCacheDir(), "golden.png");
    Files.write(new ByteArrayInputStream(read(name)), copy, Long.MAX_VALUE);
    return Photo.read(context, copy);
  }

  @Test
  public void theDeviceComputesWhatPythonDoes() throws Exception {
    JSONObject json = new JSONObject(new String(read("golden.json"), StandardCharsets.UTF_8));
    JSONArray images = json.getJSONArray("images");
    Finder finder = app.finder();
    for (int i = 0; i < images.length(); i++) {
      JSONObject image = images.getJSONObject(i);
      Photo photo = photo(app, image.getString("file"));
      byte[] tensor = Resizer.resize(photo.image, json.getInt("image_width"), json.getInt("image_height")).rgb;
      assertArrayEquals(read(image.getString("tensor")), tensor);
      JSONArray expected = image.getJSONArray("embedding");
      float[] embedding = finder.embed(photo.image);
      double cosine = 0;
      for (int k = 0; k < embedding.length; k++) {
        cosine += expected.getDouble(k) * embedding[k];
      }
      assertTrue(image.getString("file") + ": cosine " + cosine, cosine >= 0.999);
    }
  }

  @Test
  public void theTimeOfASearchIsLogged() throws Exception {
    Photo photo = photo(app, "0.png");
    double[] embed = new double[RUNS];
    double[] search = new double[RUNS];
    for (int run = 0; run < RUNS; run++) {
      Findings found = app.finder().find(photo.image, 5);
      embed[run] = found.embedMilliseconds;
      search[run] = found.searchMilliseconds;
    }
    Arrays.sort(embed);
    Arrays.sort(search);
    Log.i("keras-cdd", "median ms: embed " + embed[RUNS / 2] + ", search " + search[RUNS / 2]);
    assertTrue(embed[0] > 0);
  }
}
