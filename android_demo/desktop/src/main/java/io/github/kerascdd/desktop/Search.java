package io.github.kerascdd.desktop;

import io.github.kerascdd.core.Files;
import io.github.kerascdd.core.Finder;
import io.github.kerascdd.core.Findings;
import io.github.kerascdd.core.Gallery;
import io.github.kerascdd.core.InvalidFileException;
import io.github.kerascdd.core.Match;
import io.github.kerascdd.core.RgbImage;
import java.io.File;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import org.json.JSONStringer;
import org.json.JSONWriter;

/** The phone's search on a desktop: prints what `export.search --json` prints. */
public final class Search {
  private static final String USAGE = "usage: search --model=m.tflite --gallery=gallery.sqlite --query=photo.png [--top_k=5]";

  private Search() {}

  /** Exit status 0; 1 for a file that cannot be used; 2 for wrong flags. */
  public static void main(String[] arguments) {
    PrintStream out = new PrintStream(System.out, true);
    try {
      byte[] json = (search(flags(arguments)) + "\n").getBytes(StandardCharsets.UTF_8);
      out.write(json, 0, json.length);
      out.flush();
    } catch (IllegalArgumentException e) {
      System.err.println("error: " + e.getMessage() + "\n" + USAGE);
      System.exit(2);
    } catch (IOException | ArithmeticException e) {
      System.err.println("error: " + e.getMessage());
      System.exit(1);
    }
  }

  private static Map<String, String> flags(String[] arguments) {
    Map<String, String> flags = new HashMap<>();
    flags.put("top_k", "5");
    for (String argument : arguments) {
      int equals = argument.indexOf('=');
      if (!argument.matches("--(model|gallery|query|top_k)=.+")) {
        throw new IllegalArgumentException("Unknown or empty flag " + argument);
      }
      flags.put(argument.substring(2, equals), argument.substring(equals + 1));
    }
    for (String name : new String[] {"model", "gallery", "query"}) {
      if (!flags.containsKey(name)) {
        throw new IllegalArgumentException("Flag --" + name + " is missing");
      }
    }
    if (!flags.get("top_k").matches("[1-9][0-9]{0,6}")) {
      throw new IllegalArgumentException("Flag --top_k must be at least 1. Received: " + flags.get("top_k"));
    }
    return flags;
  }

  private static String search(Map<String, String> flags) throws IOException {
    File model = new File(flags.get("model"));
    if (!model.isFile()) {
      throw new InvalidFileException("There is no model " + model + "; check the path.");
    }
    RgbImage photo = PhotoReader.read(new File(flags.get("query")));
    byte[] bytes = Files.read(model);
    String sha256 = Files.sha256(bytes);
    try (Gallery gallery = JdbcDatabase.openGallery(new File(flags.get("gallery")), true)) {
      if (!sha256.equals(gallery.modelSha256)) { // before the interpreter, which may crash on a damaged model
        throw new InvalidFileException(
            "Gallery " + flags.get("gallery") + " was made by another model than " + model
                + "; build it again with export.build_gallery.");
      }
      try (Finder finder = new Finder(new JvmRunner(bytes), sha256, gallery)) {
        return json(flags, finder.find(photo, Integer.parseInt(flags.get("top_k"))));
      }
    }
  }

  private static String json(Map<String, String> flags, Findings found) {
    JSONWriter json = new JSONStringer().object();
    json.key("query").value(flags.get("query"));
    json.key("model").value(flags.get("model"));
    json.key("gallery_size").value(found.gallerySize);
    json.key("milliseconds").value(Math.round(1000 * found.milliseconds()) / 1000.0);
    json.key("results").array();
    int rank = 1;
    for (Match match : found.matches) {
      json.object().key("rank").value(rank++).key("path").value(match.image.path);
      json.key("identity").value(match.image.identity).key("similarity").value(match.similarity).endObject();
    }
    return json.endArray().endObject().toString();
  }
}
