package io.github.kerascdd.core;

import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.zip.ZipEntry;
import java.util.zip.ZipException;
import java.util.zip.ZipInputStream;

/** A folder of manifest, model, gallery and samples that belong together. */
public final class Pair {
  private static final long LARGEST_FILE = 1L << 30;
  private static final String ENTRY = "(samples/)?[A-Za-z0-9_][A-Za-z0-9_.-]*";

  public final File folder;
  public final Manifest manifest;

  /**
   * Opens a folder.
   *
   * @throws InvalidFileException if the manifest is missing or damaged.
   */
  public Pair(File folder) throws IOException {
    this.folder = folder;
    File file = new File(folder, Manifest.FILE);
    if (!file.isFile()) {
      throw new InvalidFileException("There is no " + Manifest.FILE + "; make the files with export.android_assets.");
    }
    manifest = Manifest.parse(new String(Files.read(file), StandardCharsets.UTF_8));
  }

  /**
   * Unpacks what `export.android_assets --pair` wrote, and checks every byte against the manifest.
   *
   * @param folder created here; deleted again on failure.
   * @throws InvalidFileException if the file is not such a zip, is incomplete or damaged.
   */
  public static Pair unpack(InputStream zip, File folder) throws IOException {
    try {
      new File(folder, "samples").mkdirs();
      unpackEntries(new ZipInputStream(zip), folder);
      Pair pair = new Pair(folder);
      pair.model();
      pair.checkGallery();
      return pair;
    } catch (ZipException | IllegalArgumentException | java.io.EOFException e) {
      Files.delete(folder);
      throw new InvalidFileException("The file is damaged; make it again with export.android_assets --pair.", e);
    } catch (IOException | RuntimeException e) {
      Files.delete(folder);
      throw e;
    }
  }

  private static void unpackEntries(ZipInputStream zip, File folder) throws IOException {
    for (ZipEntry entry = zip.getNextEntry(); entry != null; entry = zip.getNextEntry()) {
      if (!entry.isDirectory() && entry.getName().matches(ENTRY)) {
        Files.write(zip, new File(folder, entry.getName()), LARGEST_FILE);
      }
    }
  }

  /**
   * The model's bytes, checked: an interpreter may crash on damaged ones.
   *
   * @throws InvalidFileException if the file is not the one that the manifest names.
   */
  public byte[] model() throws IOException {
    byte[] bytes = Files.read(present(manifest.modelFile));
    if (!Files.sha256(bytes).equals(manifest.modelSha256)) {
      throw unusable(manifest.modelFile, "damaged");
    }
    return bytes;
  }

  public File galleryFile() {
    return new File(folder, manifest.galleryFile);
  }

  /** Checks the gallery against the manifest; valid only until an image is added or removed. */
  private void checkGallery() throws IOException {
    if (!Files.sha256(present(manifest.galleryFile)).equals(manifest.gallerySha256)) {
      throw unusable(manifest.galleryFile, "damaged");
    }
  }

  private File present(String name) throws InvalidFileException {
    File file = new File(folder, name);
    if (!file.isFile()) {
      throw unusable(name, "missing");
    }
    return file;
  }

  private static InvalidFileException unusable(String name, String state) {
    return new InvalidFileException("The file " + name + " is " + state + "; make it again with export.android_assets.");
  }
}
