import io.github.kerascdd.core.Files;
import io.github.kerascdd.core.Gallery;
import io.github.kerascdd.core.InvalidFileException;
import io.github.kerascdd.core.Manifest;
import io.github.kerascdd.core.Pair;
import io.github.kerascdd.desktop.JdbcDatabase;
import java.io.BufferedReader;
import java.io.File;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;

/** Reads lines `kind path`, and answers each with `used`, or `refused` and why; anything else ends the program. */
public final class Verdicts {
  public static void main(String[] arguments) throws IOException {
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      String[] parts = line.split(" ", 2);
      try {
        use(parts[0], new File(parts[1]));
        System.out.println("used");
      } catch (InvalidFileException e) {
        System.out.println("refused " + String.valueOf(e.getMessage()).replaceAll("\\s+", " "));
      } catch (Exception | StackOverflowError | OutOfMemoryError e) {
        System.out.println("crashed " + parts[1] + " " + e);
        e.printStackTrace();
      }
    }
  }

  private static void use(String kind, File file) throws IOException {
    switch (kind) {
      case "manifest":
        Manifest.parse(new String(Files.read(file), StandardCharsets.UTF_8));
        break;
      case "gallery":
        useGallery(file);
        break;
      default:
        File folder = new File(file.getPath() + ".unpacked");
        try (InputStream in = new FileInputStream(file)) {
          useGallery(Pair.unpack(in, folder).galleryFile());
        } finally {
          Files.delete(folder);
        }
    }
  }

  private static void useGallery(File file) throws IOException {
    try (Gallery gallery = JdbcDatabase.openGallery(file, false)) {
      gallery.check();
      float[] query = new float[gallery.embeddingSize];
      query[0] = 1;
      gallery.search(query, 5);
      for (int position = 0; position < gallery.size(); position++) {
        gallery.thumbnail(gallery.image(position).id);
      }
    }
  }
}
