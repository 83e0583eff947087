package io.github.kerascdd.app;

import android.app.Activity;
import android.content.ActivityNotFoundException;
import android.content.Intent;
import android.graphics.Bitmap;
import android.graphics.BitmapFactory;
import android.net.Uri;
import android.os.Build;
import android.os.Bundle;
import android.provider.MediaStore;
import android.text.format.Formatter;
import android.view.Menu;
import android.view.MenuItem;
import android.view.View;
import android.widget.GridLayout;
import android.widget.ImageView;
import io.github.kerascdd.core.Finder;
import io.github.kerascdd.core.Gallery;
import io.github.kerascdd.core.Manifest;
import io.github.kerascdd.core.Pair;
import io.github.kerascdd.core.Sample;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.List;

/** Start screen: what is searched, sample photos, and ways to choose a photo of your own. */
public final class MainActivity extends Screen {
  private static final int PICK = 1;
  private static final int TAKE = 2;
  private static final int IMPORT = 3;
  private static final int CAMERA_MAY = Intent.FLAG_GRANT_WRITE_URI_PERMISSION | Intent.FLAG_GRANT_READ_URI_PERMISSION;

  @Override
  protected void onCreate(Bundle state) {
    super.onCreate(state);
    show(R.layout.main, false);
    findViewById(R.id.pick).setOnClickListener(view -> pick());
    findViewById(R.id.take).setOnClickListener(view -> take());
  }

  @Override
  protected void onStart() {
    super.onStart();
    reload();
  }

  /** The facts shown on the start screen. */
  private static final class Contents {
    int images;
    Manifest manifest;
    File folder;
    final List<Bitmap> samples = new ArrayList<>();
  }

  private void reload() {
    setVisible(R.id.progress, true);
    background(this::load, this::showContents);
  }

  private Contents load() throws IOException {
    Contents contents = new Contents();
    Finder finder = app().finder();
    Pair pair = app().pair();
    contents.images = finder.withGallery(Gallery::size);
    contents.manifest = pair.manifest;
    contents.folder = pair.folder;
    for (Sample sample : pair.manifest.samples) {
      contents.samples.add(BitmapFactory.decodeFile(new File(pair.folder, sample.file).getPath()));
    }
    return contents;
  }

  private void showContents(Contents contents) {
    findViewById(R.id.progress).setVisibility(View.INVISIBLE);
    Manifest manifest = contents.manifest;
    setText(R.id.count, images(contents.images));
    String size = Formatter.formatShortFileSize(this, manifest.modelBytes);
    setText(R.id.model, getString(R.string.model_line, size, manifest.imageWidth, manifest.imageHeight));
    setVisible(R.id.samples_title, !contents.samples.isEmpty());
    showSamples(contents);
    invalidateOptionsMenu();
  }

  private void showSamples(Contents contents) {
    GridLayout grid = findViewById(R.id.samples);
    grid.removeAllViews();
    grid.setColumnCount(getResources().getConfiguration().screenWidthDp >= 600 ? 6 : 3);
    for (int i = 0; i < contents.samples.size(); i++) {
      Sample sample = contents.manifest.samples.get(i);
      ImageView view = (ImageView) getLayoutInflater().inflate(R.layout.sample, grid, false);
      view.setImageBitmap(contents.samples.get(i));
      view.setContentDescription(
          sample.identity == null
              ? getString(R.string.sample_unnamed, i + 1)
              : getString(R.string.sample, sample.identity));
      view.setOnClickListener(
          clicked -> startActivity(ResultActivity.forFile(this, new File(contents.folder, sample.file))));
      grid.addView(view);
    }
  }

  @Override
  void failed(Exception e) {
    findViewById(R.id.progress).setVisibility(View.INVISIBLE);
    setText(R.id.count, message(e));
    invalidateOptionsMenu();
  }

  private void pick() {
    if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.TIRAMISU) {
      ask(new Intent(MediaStore.ACTION_PICK_IMAGES).setType("image/*"), PICK);
    } else {
      ask(document("image/*"), PICK);
    }
  }

  private void take() {
    Intent camera = new Intent(MediaStore.ACTION_IMAGE_CAPTURE).putExtra(MediaStore.EXTRA_OUTPUT, CameraProvider.PHOTO);
    camera.addFlags(CAMERA_MAY);
    CameraProvider.file(this).delete();
    ask(camera, TAKE);
  }

  private static Intent document(String type) {
    return new Intent(Intent.ACTION_OPEN_DOCUMENT).addCategory(Intent.CATEGORY_OPENABLE).setType(type);
  }

  private void ask(Intent intent, int request) {
    try {
      startActivityForResult(intent, request);
    } catch (ActivityNotFoundException e) {
      toast(getString(R.string.no_app));
    }
  }

  @Override
  protected void onActivityResult(int request, int result, Intent data) {
    super.onActivityResult(request, result, data);
    Uri uri = data == null ? null : data.getData();
    if (request == TAKE) {
      revokeUriPermission(CameraProvider.PHOTO, CAMERA_MAY);
    }
    if (result != Activity.RESULT_OK) {
      return;
    }
    if (request == TAKE) {
      startActivity(ResultActivity.forFile(this, CameraProvider.file(this)));
    } else if (request == PICK && uri != null) {
      startActivity(ResultActivity.forUri(this, uri));
    } else if (request == IMPORT && uri != null) {
      importPair(uri);
    }
  }

  private void importPair(Uri uri) {
    setVisible(R.id.progress, true);
    setText(R.id.count, getString(R.string.importing));
    background(
        () -> {
          try (InputStream zip = getContentResolver().openInputStream(uri)) {
            app().importPair(zip);
          }
          return load();
        },
        contents -> {
          showContents(contents);
          toast(getString(R.string.imported, contents.images));
        });
  }

  @Override
  public boolean onCreateOptionsMenu(Menu menu) {
    getMenuInflater().inflate(R.menu.main, menu);
    return true;
  }

  @Override
  public boolean onPrepareOptionsMenu(Menu menu) {
    menu.findItem(R.id.bundled_pair).setVisible(app().hasImportedPair());
    return true;
  }

  @Override
  public boolean onOptionsItemSelected(MenuItem item) {
    if (item.getItemId() == R.id.open_gallery) {
      startActivity(new Intent(this, GalleryActivity.class));
    } else if (item.getItemId() == R.id.import_pair) {
      ask(document("*/*"), IMPORT);
    } else if (item.getItemId() == R.id.bundled_pair) {
      background(
          () -> {
            app().forgetImportedPair();
            return load();
          },
          this::showContents);
    } else {
      return super.onOptionsItemSelected(item);
    }
    return true;
  }
}
