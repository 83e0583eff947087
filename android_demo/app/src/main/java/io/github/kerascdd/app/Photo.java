package io.github.kerascdd.app;

import android.content.Context;
import android.graphics.Bitmap;
import android.graphics.BitmapFactory;
import android.media.ExifInterface;
import io.github.kerascdd.core.InvalidFileException;
import io.github.kerascdd.core.Resizer;
import io.github.kerascdd.core.RgbImage;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;

/**
 * A decoded photo, upright. Photos of up to four million pixels are read at full size and, if their format is
 * lossless, give the model the same bytes as in Python. The decoder reads larger ones at a half, a quarter, ...
 * of their size, with its own rounding.
 */
final class Photo {
  private static final int MOST_PIXELS = 4_000_000;
  private static final int THUMBNAIL_SIDE = 96;
  private static final int DISPLAY_SIDE = 640;

  final RgbImage image;

  /** 1 if it was read at full size, else 2, 4, 8... */
  final int sampling;

  private Photo(RgbImage image, int sampling) {
    this.image = image;
    this.sampling = sampling;
  }

  /**
   * Decodes a file.
   *
   * @throws InvalidFileException with a message for the user.
   */
  static Photo read(Context context, File file) throws IOException {
    try {
      return decode(context, file);
    } catch (OutOfMemoryError e) {
      throw new InvalidFileException(context.getString(R.string.too_large), e);
    }
  }

  private static Photo decode(Context context, File file) throws IOException {
    BitmapFactory.Options options = new BitmapFactory.Options();
    options.inJustDecodeBounds = true;
    BitmapFactory.decodeFile(file.getPath(), options);
    options.inJustDecodeBounds = false;
    options.inSampleSize = sampling(options.outWidth, options.outHeight);
    // As they are stored: transparent pixels keep their colours, as in Python.
    options.inPremultiplied = false;
    options.inPreferredConfig = Bitmap.Config.ARGB_8888;
    Bitmap bitmap = BitmapFactory.decodeFile(file.getPath(), options);
    if (bitmap == null) {
      throw new InvalidFileException(context.getString(R.string.broken_photo));
    }
    RgbImage stored = pixels(bitmap);
    bitmap.recycle();
    return new Photo(stored.upright(orientation(file)), options.inSampleSize);
  }

  private static int sampling(int width, int height) {
    int sampling = 1;
    while ((long) (width / sampling) * (height / sampling) > MOST_PIXELS) {
      sampling *= 2;
    }
    return sampling;
  }

  /** Row by row, so that the photo is in memory only twice. */
  private static RgbImage pixels(Bitmap bitmap) {
    int width = bitmap.getWidth();
    int height = bitmap.getHeight();
    byte[] rgb = new byte[width * height * 3];
    int[] row = new int[width];
    for (int y = 0; y < height; y++) {
      bitmap.getPixels(row, 0, width, 0, y, width, 1);
      System.arraycopy(RgbImage.fromArgb(width, 1, row).rgb, 0, rgb, y * width * 3, width * 3);
    }
    return new RgbImage(width, height, rgb);
  }

  private static int orientation(File file) {
    try {
      return new ExifInterface(file.getPath())
          .getAttributeInt(ExifInterface.TAG_ORIENTATION, ExifInterface.ORIENTATION_NORMAL);
    } catch (IOException e) {
      return ExifInterface.ORIENTATION_NORMAL; // a format without EXIF
    }
  }

  /** For the screen. */
  Bitmap bitmap() {
    return bitmap(DISPLAY_SIDE);
  }

  /** For the gallery: a JPEG. */
  byte[] thumbnail() {
    ByteArrayOutputStream jpeg = new ByteArrayOutputStream();
    bitmap(THUMBNAIL_SIDE).compress(Bitmap.CompressFormat.JPEG, 90, jpeg);
    return jpeg.toByteArray();
  }

  private Bitmap bitmap(int longestSide) {
    double scale = Math.min(1, (double) longestSide / Math.max(image.width, image.height));
    int width = (int) Math.max(1, Math.round(scale * image.width));
    int height = (int) Math.max(1, Math.round(scale * image.height));
    RgbImage small = Resizer.resize(image, width, height);
    return Bitmap.createBitmap(small.toArgb(), width, height, Bitmap.Config.ARGB_8888);
  }
}
