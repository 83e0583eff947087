package io.github.kerascdd.app;

import android.content.Context;
import android.graphics.Bitmap;
import android.os.Bundle;
import android.view.View;
import android.view.ViewGroup;
import android.widget.BaseAdapter;
import android.widget.GridView;
import android.widget.ImageView;
import android.widget.TextView;
import io.github.kerascdd.core.Gallery;
import io.github.kerascdd.core.GalleryImage;
import java.io.IOException;

/** All pictures of the gallery, the most recently added first. */
public final class GalleryActivity extends Screen {
  private final Pictures pictures = new Pictures();

  @Override
  protected void onCreate(Bundle state) {
    super.onCreate(state);
    show(R.layout.gallery, true);
    GridView grid = findViewById(R.id.grid);
    grid.setAdapter(pictures);
    grid.setOnItemClickListener((parent, view, position, id) -> compare((GalleryImage) view.getTag(R.id.name)));
  }

  @Override
  protected void onStart() {
    super.onStart();
    background(() -> app().finder().withGallery(Gallery::size), this::showImages);
  }

  private void showImages(int count) {
    getActionBar().setSubtitle(images(count));
    pictures.count = count;
    pictures.notifyDataSetChanged();
  }

  /** Does nothing if the image has not been read yet. */
  private void compare(GalleryImage image) {
    if (image != null) {
      startActivity(CompareActivity.forImage(this, image));
    }
  }

  /** The origin of an image as text. */
  static String origin(Context context, String path) {
    if (path.startsWith(Gallery.ADDED)) {
      return context.getString(R.string.added_here);
    }
    // Folder and name only; the rest of the path is that of the computer that built the gallery.
    int name = path.lastIndexOf('/');
    return path.substring(path.lastIndexOf('/', name - 1) + 1);
  }

  /** An image, or null if there is none at its position any more, and its thumbnail. */
  private static final class Picture {
    GalleryImage image;
    Bitmap thumbnail;
  }

  private static Picture read(Gallery gallery, int position) throws IOException {
    Picture picture = new Picture();
    picture.image = gallery.image(gallery.size() - 1 - position);
    picture.thumbnail = picture.image == null ? null : Thumbnails.read(gallery, picture.image.id);
    return picture;
  }

  /** Reads only what is on the screen: a gallery may hold a million images. */
  private final class Pictures extends BaseAdapter {
    private int count;

    @Override
    public int getCount() {
      return count;
    }

    @Override
    public Integer getItem(int position) {
      return position;
    }

    @Override
    public long getItemId(int position) {
      return position;
    }

    @Override
    public View getView(int position, View old, ViewGroup parent) {
      View cell = old != null ? old : getLayoutInflater().inflate(R.layout.cell, parent, false);
      show(cell, new Picture());
      Object asked = new Object();
      cell.setTag(asked);
      background(
          () -> app().finder().withGallery(gallery -> read(gallery, position)),
          picture -> {
            if (cell.getTag() == asked) { // the cell may have been reused for another image
              show(cell, picture);
            }
          });
      return cell;
    }

    private void show(View cell, Picture picture) {
      cell.setTag(R.id.name, picture.image);
      cell.<TextView>findViewById(R.id.name).setText(picture.image == null ? "" : picture.image.name());
      cell.<ImageView>findViewById(R.id.thumbnail).setImageBitmap(picture.thumbnail);
    }
  }
}
