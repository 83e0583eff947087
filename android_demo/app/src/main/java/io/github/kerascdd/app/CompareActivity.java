package io.github.kerascdd.app;

import android.app.AlertDialog;
import android.content.Context;
import android.content.Intent;
import android.graphics.Bitmap;
import android.os.Bundle;
import android.widget.ImageView;
import io.github.kerascdd.core.GalleryImage;
import io.github.kerascdd.core.Match;
import java.io.File;

/** A gallery picture, next to the photo if there is one; the user can remove it here. */
public final class CompareActivity extends Screen {
  private static final String ID = "id";
  private static final String NAME = "name";
  private static final String PATH = "path";
  private static final String PHOTO = "photo";
  private static final String SIMILARITY = "similarity";

  static Intent forMatch(Context context, Match match, File photo) {
    return forImage(context, match.image).putExtra(PHOTO, photo.getPath()).putExtra(SIMILARITY, match.similarity);
  }

  static Intent forImage(Context context, GalleryImage image) {
    return new Intent(context, CompareActivity.class)
        .putExtra(ID, image.id)
        .putExtra(NAME, image.name())
        .putExtra(PATH, image.path);
  }

  @Override
  protected void onCreate(Bundle state) {
    super.onCreate(state);
    show(R.layout.compare, true);
    long id = getIntent().getLongExtra(ID, 0);
    String name = getIntent().getStringExtra(NAME);
    String photo = getIntent().getStringExtra(PHOTO);
    setTitle(photo == null ? R.string.gallery : R.string.compare);
    setText(R.id.name, name);
    setText(R.id.path, GalleryActivity.origin(this, getIntent().getStringExtra(PATH)));
    setVisible(R.id.photo_side, photo != null);
    setVisible(R.id.similarity, photo != null);
    findViewById(R.id.thumbnail).setContentDescription(getString(R.string.gallery_picture, name));
    findViewById(R.id.remove).setOnClickListener(view -> confirm(id, name));
    background(() -> app().finder().withGallery(gallery -> Thumbnails.read(gallery, id)), this::showThumbnail);
    if (photo != null) {
      double percent = 100 * getIntent().getDoubleExtra(SIMILARITY, 0);
      setText(R.id.similarity, getString(R.string.similar, percent));
      background(() -> Photo.read(this, new File(photo)).bitmap(), this::showPhoto);
    }
  }

  private void showThumbnail(Bitmap bitmap) {
    this.<ImageView>findViewById(R.id.thumbnail).setImageBitmap(bitmap);
  }

  private void showPhoto(Bitmap bitmap) {
    this.<ImageView>findViewById(R.id.photo).setImageBitmap(bitmap);
  }

  private void confirm(long id, String name) {
    new AlertDialog.Builder(this)
        .setMessage(getString(R.string.remove_question, name))
        .setPositiveButton(R.string.remove, (dialog, which) -> remove(id))
        .setNegativeButton(R.string.cancel, null)
        .show();
  }

  private void remove(long id) {
    background(
        () ->
            app().finder().withGallery(
                gallery -> {
                  gallery.remove(id);
                  return id;
                }),
        removed -> {
          toast(getString(R.string.removed));
          setResult(RESULT_OK);
          finish();
        });
  }
}
