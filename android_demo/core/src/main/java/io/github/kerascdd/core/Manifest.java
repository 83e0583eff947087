package io.github.kerascdd.core;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;

/** The `manifest.json` of export.android_assets: which model and gallery belong together. */
public final class Manifest {
  public static final String FILE = "manifest.json";
  private static final int MOST_SAMPLES = 100;

  public final String modelFile;
  public final String modelSha256;
  public final long modelBytes;
  public final int imageHeight;
  public final int imageWidth;
  public final int embeddingSize;
  public final String galleryFile;
  public final String gallerySha256;
  public final List<Sample> samples;

  private Manifest(JSONObject json) throws JSONException, InvalidFileException {
    JSONObject model = json.getJSONObject("model");
    modelFile = fileName(model.getString("file"));
    modelSha256 = model.getString("sha256");
    modelBytes = model.getLong("bytes");
    imageHeight = model.getInt("image_height");
    imageWidth = model.getInt("image_width");
    embeddingSize = model.getInt("embedding_size");
    if (!"uint8".equals(model.getString("input_type"))) {
      throw new InvalidFileException("The model takes no uint8 images; export it with --input_type=uint8.");
    }
    JSONObject gallery = json.getJSONObject("gallery");
    galleryFile = fileName(gallery.getString("file"));
    gallerySha256 = gallery.getString("sha256");
    samples = Collections.unmodifiableList(readSamples(json.optJSONArray("samples")));
  }

  /**
   * Reads the text of a manifest.
   *
   * @throws InvalidFileException if the text is not a manifest of this version.
   */
  public static Manifest parse(String text) throws InvalidFileException {
    JSONObject json;
    try {
      json = new JSONObject(text);
    } catch (JSONException | StackOverflowError e) {
      throw new InvalidFileException("The manifest is damaged; make the files again with export.android_assets.", e);
    }
    if (!"keras_cdd manifest".equals(json.optString("format"))) {
      throw new InvalidFileException("This is no keras_cdd manifest; make one with export.android_assets.");
    }
    if (!"1".equals(json.optString("version"))) {
      throw new InvalidFileException(
          "The manifest has version " + json.optString("version") + ", but this program reads version 1.");
    }
    try {
      return new Manifest(json);
    } catch (JSONException e) {
      throw new InvalidFileException(
          "The manifest is incomplete (" + e.getMessage() + "); make the files again with export.android_assets.", e);
    }
  }

  private static List<Sample> readSamples(JSONArray json) throws JSONException, InvalidFileException {
    List<Sample> samples = new ArrayList<>();
    for (int i = 0; json != null && i < Math.min(json.length(), MOST_SAMPLES); i++) {
      JSONObject sample = json.getJSONObject(i);
      String identity = sample.isNull("identity") ? null : sample.getString("identity");
      samples.add(new Sample(fileName(sample.getString("file")), identity));
    }
    return samples;
  }

  /** Checks that a file name stays inside the manifest's folder. */
  private static String fileName(String name) throws InvalidFileException {
    if (!name.matches("[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)?")) {
      throw new InvalidFileException("The manifest names a file outside its folder: " + name);
    }
    return name;
  }
}
