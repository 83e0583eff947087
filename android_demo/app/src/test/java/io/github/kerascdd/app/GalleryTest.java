package io.github.kerascdd.app;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNotNull;
import static org.junit.Assert.assertTrue;
import static org.robolectric.Shadows.shadowOf;

import android.app.Activity;
import android.app.AlertDialog;
import android.content.Intent;
import android.graphics.Bitmap;
import android.graphics.BitmapFactory;
import android.graphics.Matrix;
import android.view.View;
import android.view.ViewGroup;
import android.widget.EditText;
import android.widget.GridView;
import android.widget.ImageView;
import io.github.kerascdd.core.Files;
import io.github.kerascdd.core.Gallery;
import io.github.kerascdd.core.GalleryImage;
import io.github.kerascdd.core.Manifest;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.FileOutputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.junit.Test;
import org.robolectric.Robolectric;
import org.robolectric.RuntimeEnvironment;
import org.robolectric.android.controller.ActivityController;
import org.robolectric.shadows.ShadowDialog;
import org.robolectric.shadows.ShadowLooper;
import org.robolectric.shadows.ShadowToast;

/** The gallery: shown, added to, and replaced by an imported one. */
public class GalleryTest extends AppCase {
  /** The first sample upside down: samples may be pictures of the gallery, which are as similar to themselves. */
  private File unknownPhoto() throws Exception {
    Bitmap picture = BitmapFactory.decodeFile(sample(0).getPath());
    Matrix turn = new Matrix();
    turn.setScale(1, -1);
    Bitmap turned = Bitmap.createBitmap(picture, 0, 0, picture.getWidth(), picture.getHeight(), turn, false);
    File file = new File(app.getCacheDir(), "unknown.png");
    try (OutputStream out = new FileOutputStream(file)) {
      assertTrue(turned.compress(Bitmap.CompressFormat.PNG, 100, out));
    }
    return file;
  }

  @Test
  public void anAddedPhotoIsFoundAfterARestartAndCanBeRemoved() throws Exception {
    int before = gallerySize();
    File photo = unknownPhoto();
    try (ActivityController<ResultActivity> result = open(ResultActivity.forFile(app, photo))) {
      result.get().findViewById(R.id.add).performClick();
      AlertDialog dialog = (AlertDialog) ShadowDialog.getLatestDialog();
      dialog.<EditText>findViewById(R.id.name).setText("My own thing");
      ShadowLooper.idleMainLooper();
      Screens.shoot(dialog.getWindow().getDecorView(), "add");
      dialog.getButton(AlertDialog.BUTTON_POSITIVE).performClick();
      Screens.await("the addition", () -> text(result.get(), R.id.answer).equals("Looks like My own thing"));
      Screens.shoot(result.get(), "added");
    }
    // Another instance of the app over the same files.
    TestApp restarted = new TestApp();
    shadowOf(restarted).callAttach(app.getBaseContext());
    restarted.onCreate();
    GalleryImage added = restarted.finder().withGallery(gallery -> gallery.image(before));
    assertEquals("My own thing", added.name());
    restarted.finder().close();

    try (ActivityController<ResultActivity> result = open(ResultActivity.forFile(app, photo))) {
      assertEquals("Looks like My own thing", text(result.get(), R.id.answer));
      result.get().<ViewGroup>findViewById(R.id.grid).getChildAt(0).performClick();
      Intent asked = shadowOf(result.get()).getNextStartedActivityForResult().intent;
      try (ActivityController<CompareActivity> compare = Robolectric.buildActivity(CompareActivity.class, asked).setup()) {
        compare.get().findViewById(R.id.remove).performClick();
        ((AlertDialog) ShadowDialog.getLatestDialog()).getButton(AlertDialog.BUTTON_POSITIVE).performClick();
        Screens.await("the removal", () -> compare.get().isFinishing());
      }
      shadowOf(result.get()).receiveResult(asked, Activity.RESULT_OK, null);
      Screens.await("another answer", () -> !text(result.get(), R.id.answer).equals("Looks like My own thing"));
    }
    assertEquals(before, gallerySize());
  }

  private static boolean hasPicture(View view) {
    return view.<ImageView>findViewById(R.id.thumbnail).getDrawable() != null;
  }

  @Test
  public void theGalleryShowsAllPictures() throws Exception {
    int size = gallerySize();
    try (ActivityController<GalleryActivity> gallery = Robolectric.buildActivity(GalleryActivity.class).setup().visible()) {
      GridView grid = gallery.get().findViewById(R.id.grid);
      Screens.await("all pictures", () -> grid.getCount() == size && grid.getChildCount() > 6);
      Screens.await("the first picture", () -> hasPicture(grid.getChildAt(0)));
      Screens.await("the last visible picture", () -> hasPicture(grid.getChildAt(grid.getChildCount() - 1)));
      Screens.shoot(gallery.get(), "gallery");
    }
  }

  @Test
  public void aPairIsImportedAndABrokenOneIsNot() throws Exception {
    int before = gallerySize();
    try (ActivityController<MainActivity> main = start()) {
      importFile(main.get(), "no zip".getBytes("US-ASCII"));
      Screens.await("a message", () -> text(main.get(), R.id.count).contains("manifest.json"));
      assertFalse(app.hasImportedPair());
      app.finder().withGallery(gallery -> gallery.add("only in the first gallery", embedding(gallery), new byte[1]));
      importFile(main.get(), zippedAssets());
      Screens.await("the import", app::hasImportedPair);
      Screens.await("its size", () -> text(main.get(), R.id.count).equals(before + " pictures"));
      assertNotNull(ShadowToast.getTextOfLatestToast());
      shadowOf(main.get()).clickMenuItem(R.id.bundled_pair);
      Screens.await("the way back", () -> text(main.get(), R.id.count).equals(before + 1 + " pictures"));
      assertFalse(app.hasImportedPair());
    }
  }

  private static float[] embedding(Gallery gallery) {
    float[] embedding = new float[gallery.embeddingSize];
    embedding[0] = 1;
    return embedding;
  }

  private void importFile(MainActivity main, byte[] bytes) {
    shadowOf(main).clickMenuItem(R.id.import_pair);
    Intent asked = shadowOf(main).getNextStartedActivityForResult().intent;
    offer(PICTURE, bytes);
    shadowOf(main).receiveResult(asked, Activity.RESULT_OK, new Intent().setData(PICTURE));
  }

  private static byte[] zippedAssets() throws Exception {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (ZipOutputStream zip = new ZipOutputStream(bytes)) {
      for (String name : new String[] {Manifest.FILE, "model.tflite", "gallery.sqlite"}) {
        zip.putNextEntry(new ZipEntry(name));
        zip.write(asset(name));
      }
    }
    return bytes.toByteArray();
  }

  private static byte[] asset(String name) throws Exception {
    try (InputStream in = RuntimeEnvironment.getApplication().getAssets().open(name)) {
      return Files.read(in);
    }
  }
}
