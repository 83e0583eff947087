package io.github.kerascdd.app;

import android.content.Context;
import android.os.Bundle;
import android.view.View;
import android.view.ViewGroup;
import android.widget.BaseAdapter;
import android.widget.GridView;
import android.widget.ImageView;
import android.widget.TextView;
import io.github.kerascdd.core.Gallery;
import io.github.kerascdd.core.GalleryImage;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** All pictures of the gallery, the most recently added first. */
public final class GalleryActivity extends Screen {
  private final Pictures pictures = new Pictures();

  @Override
  protected void onCreate(Bundle state) {
    super.onCreate(state);
    show(R.layout.gallery, true);
    GridView grid = findViewById(R.id.grid);
    grid.setAdapter(pictures);
    grid.setOnItemClickListener(
        (parent, view, position, id) -> startActivity(CompareActivity.forImage(this, pictures.getItem(position))));
  }

  @Override
  protected void onStart() {
    super.onStart();
    background(() -> app().finder().withGallery(Gallery::images), this::showImages);
  }

  private void showImages(List<GalleryImage> images) {
    Collections.reverse(images);
    getActionBar().setSubtitle(images(images.size()));
    pictures.images = images;
    pictures.notifyDataSetChanged();
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

  private final class Pictures extends BaseAdapter {
    private List<GalleryImage> images = new ArrayList<>();

    @Override
    public int getCount() {
      return images.size();
    }

    @Override
    public GalleryImage getItem(int position) {
      return images.get(position);
    }

    @Override
    public long getItemId(int position) {
      return images.get(position).id;
    }

    @Override
    public boolean hasStableIds() {
      return true;
    }

    @Override
    public View getView(int position, View old, ViewGroup parent) {
      View cell = old != null ? old : getLayoutInflater().inflate(R.layout.cell, parent, false);
      GalleryImage image = getItem(position);
      ImageView picture = cell.findViewById(R.id.thumbnail);
      picture.setImageBitmap(null);
      cell.setTag(image.id);
      cell.<TextView>findViewById(R.id.name).setText(image.name());
      background(
          () -> app().finder().withGallery(gallery -> Thumbnails.read(gallery, image.id)),
          bitmap -> {
            if (cell.getTag().equals(image.id)) { // the cell may have been reused for another image
              picture.setImageBitmap(bitmap);
            }
          });
      return cell;
    }
  }
}
