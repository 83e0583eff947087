package io.github.kerascdd.app;

import android.graphics.Bitmap;
import android.graphics.BitmapFactory;
import io.github.kerascdd.core.Gallery;
import java.io.IOException;

/** Thumbnails of a gallery as bitmaps. */
final class Thumbnails {
  private Thumbnails() {}

  /** Null if the image was removed or its thumbnail cannot be decoded. */
  static Bitmap read(Gallery gallery, long id) throws IOException {
    byte[] jpeg = gallery.thumbnail(id);
    return jpeg == null ? null : BitmapFactory.decodeByteArray(jpeg, 0, jpeg.length);
  }
}
