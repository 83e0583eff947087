package io.github.kerascdd.core;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;

/**
 * The `manifest.json` of export.android_assets: which model and gallery belong together. Checked by the rules of
 * export/android/manifest.py.
 */
public final class Manifest {
  public static final String FILE = "manifest.json";
  private static final int MOST_SAMPLES = 100;
  private static final String NAME = "[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)?";

  public final String modelFile;
  public final String modelSha256;
  public final long modelBytes;
  public final int imageHeight;
  public final int imageWidth;
  public final int embeddingSize;
  public final String galleryFile;
  public final String gallerySha256;
  public final List<Sample> samples;

  private Manifest(JSONObject json) throws InvalidFileException {
    Part model = new Part("model", json.opt("model"));
    modelFile = model.fileName();
    modelSha256 = model.sha256();
    modelBytes = model.count("bytes");
    imageHeight = model.count("image_height");
    imageWidth = model.count("image_width");
    if (!"uint8".equals(model.get("input_type"))) {
      throw new InvalidFileException("The model takes no uint8 images; export it with --input_type=uint8.");
    }
    model.checkBatch();
    embeddingSize = model.count("embedding_size");
    model.checkOneOf("output_type", "float32", "int8", "uint8");
    Object scale = model.get("output_scale");
    double value = scale instanceof Number ? ((Number) scale).doubleValue() : -1;
    model.check("output_scale", value >= 0 && value <= Double.MAX_VALUE);
    model.check("output_zero_point", model.get("output_zero_point") instanceof Integer);
    Part gallery = new Part("gallery", json.opt("gallery"));
    galleryFile = gallery.fileName();
    gallerySha256 = gallery.sha256();
    gallery.count("images");
    gallery.checkOneOf("embedding_type", "int8", "float16");
    samples = Collections.unmodifiableList(readSamples(json.opt("samples")));
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
    if (!"keras_cdd manifest".equals(json.opt("format"))) {
      throw new InvalidFileException("This is no keras_cdd manifest; make one with export.android_assets.");
    }
    if (!Integer.valueOf(1).equals(json.opt("version"))) {
      throw new InvalidFileException(
          "The manifest has version " + json.opt("version") + ", but this program reads version 1;"
              + " make the files with a matching export.android_assets.");
    }
    return new Manifest(json);
  }

  private static List<Sample> readSamples(Object found) throws InvalidFileException {
    if (!(found instanceof JSONArray)) {
      throw unusable("its samples are no list");
    }
    JSONArray json = (JSONArray) found;
    List<Sample> samples = new ArrayList<>();
    for (int i = 0; i < json.length(); i++) {
      Part sample = new Part("sample", json.opt(i));
      Object identity = sample.get("identity");
      sample.check("identity", identity == null || identity instanceof String);
      Sample read = new Sample(sample.fileName(), (String) identity);
      if (i < MOST_SAMPLES) {
        samples.add(read);
      }
    }
    return samples;
  }

  private static InvalidFileException unusable(String what) {
    return new InvalidFileException(
        "The manifest is incomplete (" + what + "); make the files again with export.android_assets.");
  }

  /** An object in the manifest; org.json itself would turn texts into numbers and numbers into texts. */
  private static final class Part {
    private final String name;
    private final JSONObject json;

    Part(String name, Object json) throws InvalidFileException {
      if (!(json instanceof JSONObject)) {
        throw unusable("it has no " + name);
      }
      this.name = name;
      this.json = (JSONObject) json;
    }

    /** Null if the field is missing or null. */
    Object get(String field) {
      return json.isNull(field) ? null : json.opt(field);
    }

    void check(String field, boolean good) throws InvalidFileException {
      if (!good) {
        throw unusable("the " + field + " of its " + name);
      }
    }

    /** A whole number from 1 on. */
    int count(String field) throws InvalidFileException {
      Object value = get(field);
      check(field, value instanceof Integer && (Integer) value > 0);
      return (Integer) value;
    }

    void checkBatch() throws InvalidFileException {
      Object value = get("batch");
      boolean any = value == null || "any".equals(value); // null in manifests of earlier versions
      check("batch", any || value instanceof Integer && (Integer) value > 0);
    }

    void checkOneOf(String field, String... known) throws InvalidFileException {
      check(field, Arrays.asList(known).contains(get(field)));
    }

    String sha256() throws InvalidFileException {
      Object value = get("sha256");
      check("sha256", value instanceof String && ((String) value).matches("[0-9a-f]{64}"));
      return (String) value;
    }

    /** A file's name that stays inside the manifest's folder. */
    String fileName() throws InvalidFileException {
      Object value = get("file");
      check("file", value instanceof String);
      if (!((String) value).matches(NAME)) {
        throw new InvalidFileException("The manifest names a file outside its folder: " + value);
      }
      return (String) value;
    }
  }
}
