package io.github.kerascdd.app;

import android.content.ContentProvider;
import android.content.ContentValues;
import android.content.Context;
import android.database.Cursor;
import android.net.Uri;
import android.os.ParcelFileDescriptor;
import java.io.File;
import java.io.FileNotFoundException;

/** Lets the camera app write its photo to one file of this app and to no other file. */
public final class CameraProvider extends ContentProvider {
  static final Uri PHOTO = Uri.parse("content://io.github.kerascdd.app.camera/photo.jpg");

  static File file(Context context) {
    return new File(context.getCacheDir(), "camera.jpg");
  }

  @Override
  public boolean onCreate() {
    return true;
  }

  @Override
  public ParcelFileDescriptor openFile(Uri uri, String mode) throws FileNotFoundException {
    if (!PHOTO.equals(uri)) {
      throw new FileNotFoundException(uri.toString());
    }
    return ParcelFileDescriptor.open(file(getContext()), ParcelFileDescriptor.parseMode(mode));
  }

  @Override
  public String getType(Uri uri) {
    return "image/jpeg";
  }

  @Override
  public Cursor query(Uri uri, String[] columns, String selection, String[] arguments, String order) {
    return null;
  }

  @Override
  public Uri insert(Uri uri, ContentValues values) {
    return null;
  }

  @Override
  public int delete(Uri uri, String selection, String[] arguments) {
    return 0;
  }

  @Override
  public int update(Uri uri, ContentValues values, String selection, String[] arguments) {
    return 0;
  }
}
