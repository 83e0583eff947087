package io.github.kerascdd.app;

import android.app.Application;
import io.github.kerascdd.core.Finder;
import io.github.kerascdd.core.Gallery;
import io.github.kerascdd.core.InvalidFileException;
import io.github.kerascdd.core.ModelRunner;
import io.github.kerascdd.core.Pair;
import io.github.kerascdd.core.VectorFile;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/** Shared by all screens: one background thread, and the model with its gallery, opened on first use. */
public class DemoApp extends Application {
  private static final long DAY = 24 * 3600 * 1000L;

  /** One thread: tasks run in the order in which they are submitted. */
  final ExecutorService worker = Executors.newSingleThreadExecutor();

  /** Reads from other apps, which may take as long as they like. */
  final ExecutorService receiver = Executors.newCachedThreadPool();

  private PairStore store;
  private Pair pair;
  private Finder finder;

  @Override
  public void onCreate() {
    super.onCreate();
    store = new PairStore(this);
    worker.execute(this::deleteOldPhotos);
  }

  /** Replaced in tests, because Android's native libraries do not run on a desktop. */
  protected ModelRunner newRunner(byte[] model) throws InvalidFileException {
    return new LiteRtRunner(model);
  }

  /** The model with its gallery. The first call is slow, so do not call it on the main thread. */
  synchronized Finder finder() throws IOException {
    if (finder == null) {
      pair = store.current();
      finder = open(pair, false);
    }
    return finder;
  }

  /** The pair that `finder` was opened from. */
  synchronized Pair pair() throws IOException {
    finder();
    return pair;
  }

  boolean hasImportedPair() {
    return store.isImported();
  }

  /**
   * Checks another model and gallery and switches to them permanently.
   *
   * @throws InvalidFileException if they are damaged or do not belong together; the old ones stay in use.
   */
  synchronized void importPair(InputStream zip) throws IOException {
    try {
      open(store.unpack(zip), true).close();
      closeFinder();
      store.acceptIncoming();
    } catch (IOException | RuntimeException e) {
      store.discardIncoming();
      throw e;
    }
  }

  /** Goes back to the built-in model and gallery; images added to the imported gallery are lost. */
  synchronized void forgetImportedPair() {
    closeFinder();
    store.forgetImported();
  }

  private Finder open(Pair from, boolean check) throws IOException {
    Gallery gallery = openGallery(from.galleryFile());
    ModelRunner model = null;
    try {
      if (check) {
        gallery.check();
      }
      model = newRunner(from.model());
      return new Finder(model, from.manifest.modelSha256, gallery);
    } catch (IOException | RuntimeException e) {
      gallery.close();
      if (model != null) {
        model.close();
      }
      throw e;
    }
  }

  private Gallery openGallery(File file) throws IOException {
    AndroidDatabase database = new AndroidDatabase(file);
    try {
      return new Gallery(database, new VectorFile(file, new File(getCacheDir(), "vectors")));
    } catch (IOException | RuntimeException e) {
      database.close();
      throw e;
    }
  }

  private void closeFinder() {
    if (finder != null) {
      finder.close();
      finder = null;
    }
  }

  /** Where the photo is kept as long as its screen may be recreated. */
  File photos() {
    return new File(getCacheDir(), "photos");
  }

  private void deleteOldPhotos() {
    File[] files = photos().listFiles();
    for (int i = 0; files != null && i < files.length; i++) {
      if (files[i].lastModified() < System.currentTimeMillis() - DAY) {
        files[i].delete();
      }
    }
  }
}
