package io.github.kerascdd.app;

import android.content.Context;
import android.content.res.AssetManager;
import io.github.kerascdd.core.Files;
import io.github.kerascdd.core.InvalidFileException;
import io.github.kerascdd.core.Manifest;
import io.github.kerascdd.core.Pair;
import io.github.kerascdd.core.Sample;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** Stores pairs of model and gallery: the built-in one and, optionally, an imported one. */
final class PairStore {
  private final AssetManager assets;
  private final File bundled;
  private final File imported;
  private final File incoming;

  PairStore(Context context) {
    assets = context.getAssets();
    bundled = new File(context.getFilesDir(), "bundled");
    imported = new File(context.getFilesDir(), "imported");
    incoming = new File(context.getFilesDir(), "incoming");
  }

  /** The imported pair if there is one, else the built-in one. */
  Pair current() throws IOException {
    return isImported() ? new Pair(imported) : bundled();
  }

  boolean isImported() {
    return new File(imported, Manifest.FILE).isFile();
  }

  /** Copies the assets to files, since the gallery must be writable; again after an update of the assets. */
  private Pair bundled() throws IOException {
    byte[] manifest = asset(Manifest.FILE);
    File copied = new File(bundled, Manifest.FILE);
    if (!copied.isFile() || !Arrays.equals(manifest, Files.read(copied))) {
      Files.delete(incoming);
      new File(incoming, "samples").mkdirs();
      Manifest names = Manifest.parse(new String(manifest, StandardCharsets.UTF_8));
      copyAsset(names.modelFile);
      copyAsset(names.galleryFile);
      for (Sample sample : names.samples) {
        copyAsset(sample.file);
      }
      copyAsset(Manifest.FILE);
      replace(bundled);
    }
    return new Pair(bundled);
  }

  private byte[] asset(String name) throws IOException {
    try (InputStream in = assets.open(name)) {
      return Files.read(in);
    }
  }

  private void copyAsset(String name) throws IOException {
    try (InputStream in = assets.open(name)) {
      Files.write(in, new File(incoming, name), Long.MAX_VALUE);
    }
  }

  /** Unpacks a pair without touching the one in use; `acceptIncoming` switches to it. */
  Pair unpack(InputStream zip) throws IOException {
    Files.delete(incoming);
    return Pair.unpack(zip, incoming);
  }

  void acceptIncoming() throws IOException {
    replace(imported);
  }

  void discardIncoming() {
    Files.delete(incoming);
  }

  /** Goes back to the built-in pair. */
  void forgetImported() {
    Files.delete(imported);
  }

  private void replace(File folder) throws IOException {
    Files.delete(folder);
    if (!incoming.renameTo(folder)) {
      throw new InvalidFileException("The files cannot be stored on this device.");
    }
  }
}
