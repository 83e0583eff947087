package io.github.kerascdd.app;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNotNull;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertTrue;
import static org.robolectric.Shadows.shadowOf;

import android.app.Activity;
import android.app.AlertDialog;
import android.content.Intent;
import android.content.pm.ApplicationInfo;
import android.content.pm.PackageInfo;
import android.content.pm.PackageManager;
import android.graphics.Bitmap;
import android.graphics.BitmapFactory;
import android.graphics.Canvas;
import android.graphics.Matrix;
import android.graphics.Paint;
import android.media.ExifInterface;
import android.net.Uri;
import android.os.Bundle;
import android.provider.MediaStore;
import android.view.View;
import android.view.ViewGroup;
import android.widget.EditText;
import android.widget.GridView;
import android.widget.ImageView;
import android.widget.TextView;
import io.github.kerascdd.core.Files;
import io.github.kerascdd.core.Gallery;
import io.github.kerascdd.core.GalleryImage;
import io.github.kerascdd.core.Manifest;
import io.github.kerascdd.core.Pair;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.FileOutputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.TimeUnit;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.json.JSONArray;
import org.json.JSONObject;
import org.junit.After;
import org.junit.Before;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.robolectric.Robolectric;
import org.robolectric.RobolectricTestRunner;
import org.robolectric.RuntimeEnvironment;
import org.robolectric.android.controller.ActivityController;
import org.robolectric.annotation.Config;
import org.robolectric.annotation.GraphicsMode;
import org.robolectric.annotation.SQLiteMode;
import org.robolectric.shadows.ShadowDialog;
import org.robolectric.shadows.ShadowLooper;
import org.robolectric.shadows.ShadowToast;

/** The whole app, with its real model, gallery and graphics; each test leaves screenshots. */
@RunWith(RobolectricTestRunner.class)
@Config(sdk = 34, application = TestApp.class, qualifiers = "w411dp-h800dp-xhdpi")
@GraphicsMode(GraphicsMode.Mode.NATIVE)
@SQLiteMode(SQLiteMode.Mode.NATIVE)
public class AppTest {
  private static final Uri PICTURE = Uri.parse("content://pictures/7");
  private DemoApp app;
  private Pair pair;

  @Before
  public void openPair() throws Exception {
    app = (DemoApp) RuntimeEnvironment.getApplication();
    pair = app.pair();
  }

  @After
  public void closeFinder() throws Exception {
    app.worker.shutdown();
    assertTrue(app.worker.awaitTermination(1, TimeUnit.MINUTES));
    app.finder().close();
  }

  private static ActivityController<MainActivity> start() throws Exception {
    ActivityController<MainActivity> main = Robolectric.buildActivity(MainActivity.class).setup().visible();
    Screens.await("the start screen", () -> text(main.get(), R.id.model).length() > 0);
    return main;
  }

  private static ActivityController<ResultActivity> open(Intent intent) throws Exception {
    ActivityController<ResultActivity> result = Robolectric.buildActivity(ResultActivity.class, intent).setup().visible();
    awaitAnswer(result.get());
    return result;
  }

  private static void awaitAnswer(ResultActivity result) throws Exception {
    Screens.await("an answer", () -> result.findViewById(R.id.progress).getVisibility() == View.GONE);
  }

  private static String text(Activity activity, int id) {
    return activity.<TextView>findViewById(id).getText().toString();
  }

  private File sample(int index) {
    return new File(pair.folder, pair.manifest.samples.get(index).file);
  }

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

  /** A sample that the model recognises according to Python; the quickstart's model does not recognise all. */
  private int knownSample() throws Exception {
    File golden = new File("../core/src/test/resources/golden/golden.json");
    JSONArray images = new JSONObject(new String(Files.read(golden), StandardCharsets.UTF_8)).getJSONArray("images");
    for (int i = 0; i < pair.manifest.samples.size(); i++) {
      JSONObject best = images.getJSONObject(i).getJSONArray("ranking").getJSONObject(0);
      if (best.getString("identity").equals(pair.manifest.samples.get(i).identity)) {
        return i;
      }
    }
    throw new AssertionError("the model recognises no sample at all");
  }

  private String rightAnswer(int sample) {
    return "Looks like " + pair.manifest.samples.get(sample).identity;
  }

  private void offer(Uri uri, byte[] bytes) {
    shadowOf(app.getContentResolver()).registerInputStream(uri, new ByteArrayInputStream(bytes));
  }

  private int gallerySize() throws Exception {
    return app.finder().withGallery(Gallery::size);
  }

  private static byte[] asset(String name) throws Exception {
    try (InputStream in = RuntimeEnvironment.getApplication().getAssets().open(name)) {
      return Files.read(in);
    }
  }

  @Test
  public void theStartScreenShowsWhatThereIsAndAFirstTapAnswers() throws Exception {
    try (ActivityController<MainActivity> main = start()) {
      assertEquals(gallerySize() + " pictures", text(main.get(), R.id.count));
      ViewGroup samples = main.get().findViewById(R.id.samples);
      assertEquals(pair.manifest.samples.size(), samples.getChildCount());
      assertTrue(samples.getChildAt(0).getContentDescription().toString().startsWith("Sample photo"));
      Screens.shoot(main.get(), "start");
      int known = knownSample();
      samples.getChildAt(known).performClick();
      try (ActivityController<ResultActivity> result = open(shadowOf(main.get()).getNextStartedActivity())) {
        assertEquals(rightAnswer(known), text(result.get(), R.id.answer));
        Screens.shoot(result.get(), "result");
      }
    }
  }

  @Test
  public void aPickedPhotoIsAnsweredByTheRightPicture() throws Exception {
    try (ActivityController<MainActivity> main = start()) {
      main.get().findViewById(R.id.pick).performClick();
      Intent asked = shadowOf(main.get()).getNextStartedActivityForResult().intent;
      assertEquals(MediaStore.ACTION_PICK_IMAGES, asked.getAction());
      int known = knownSample();
      offer(PICTURE, Files.read(sample(known)));
      shadowOf(main.get()).receiveResult(asked, Activity.RESULT_OK, new Intent().setData(PICTURE));
      try (ActivityController<ResultActivity> result = open(shadowOf(main.get()).getNextStartedActivity())) {
        ViewGroup grid = result.get().findViewById(R.id.grid);
        assertEquals(Math.min(ResultActivity.MATCHES, gallerySize()), grid.getChildCount());
        TextView first = grid.getChildAt(0).findViewById(R.id.name);
        assertEquals(pair.manifest.samples.get(known).identity, first.getText().toString());
        assertTrue(text(result.get(), R.id.timing), text(result.get(), R.id.timing).contains(" ms"));
      }
    }
  }

  @Test
  public void aPhotoTakenByTheCameraIsAnswered() throws Exception {
    try (ActivityController<MainActivity> main = start()) {
      main.get().findViewById(R.id.take).performClick();
      Intent asked = shadowOf(main.get()).getNextStartedActivityForResult().intent;
      assertEquals(MediaStore.ACTION_IMAGE_CAPTURE, asked.getAction());
      Uri target = asked.getParcelableExtra(MediaStore.EXTRA_OUTPUT, Uri.class);
      CameraProvider provider = Robolectric.setupContentProvider(CameraProvider.class, target.getAuthority());
      try (OutputStream out =
          new android.os.ParcelFileDescriptor.AutoCloseOutputStream(provider.openFile(target, "w"))) {
        out.write(Files.read(sample(knownSample())));
      }
      shadowOf(main.get()).receiveResult(asked, Activity.RESULT_OK, null);
      try (ActivityController<ResultActivity> result = open(shadowOf(main.get()).getNextStartedActivity())) {
        assertEquals(rightAnswer(knownSample()), text(result.get(), R.id.answer));
      }
    }
  }

  @Test
  public void aBigPhotoTakenSidewaysIsReadSmallerAndUpright() throws Exception {
    Bitmap wide = Bitmap.createBitmap(4000, 3000, Bitmap.Config.ARGB_8888);
    wide.eraseColor(0xFF2040C0);
    new Canvas(wide).drawRect(0, 0, 1000, 3000, paint(0xFFC04020)); // left, which is the top when upright
    File file = new File(app.getCacheDir(), "sideways.jpg");
    try (OutputStream out = new FileOutputStream(file)) {
      wide.compress(Bitmap.CompressFormat.JPEG, 95, out);
    }
    ExifInterface exif = new ExifInterface(file.getPath());
    exif.setAttribute(ExifInterface.TAG_ORIENTATION, String.valueOf(ExifInterface.ORIENTATION_ROTATE_90));
    exif.saveAttributes();
    Photo photo = Photo.read(app, file);
    assertEquals(2, photo.sampling);
    assertEquals(1500, photo.image.width);
    assertEquals(2000, photo.image.height);
    int top = photo.image.toArgb()[750];
    int bottom = photo.image.toArgb()[1999 * 1500 + 750];
    assertTrue((top >> 16 & 255) > 150 && (top & 255) < 80);
    assertTrue((bottom >> 16 & 255) < 80 && (bottom & 255) > 150);
    try (ActivityController<ResultActivity> result = open(ResultActivity.forFile(app, file))) {
      assertTrue(text(result.get(), R.id.timing).contains("1/2 of its size"));
    }
  }

  private static Paint paint(int colour) {
    Paint paint = new Paint();
    paint.setColor(colour);
    return paint;
  }

  @Test
  public void aSharedPhotoSurvivesRotationAndTheEndOfTheProcess() throws Exception {
    offer(PICTURE, Files.read(sample(1)));
    Intent shared = new Intent(Intent.ACTION_SEND).setType("image/png").putExtra(Intent.EXTRA_STREAM, PICTURE);
    shared.setClass(app, ResultActivity.class);
    String answer;
    Bundle saved = new Bundle();
    try (ActivityController<ResultActivity> result = open(shared)) {
      answer = text(result.get(), R.id.answer);
      RuntimeEnvironment.setQualifiers("w800dp-h411dp-land-xhdpi");
      result.configurationChange(app.getResources().getConfiguration());
      awaitAnswer(result.get());
      assertEquals(answer, text(result.get(), R.id.answer));
      result.saveInstanceState(saved);
      result.pause().stop();
    }
    // As after the end of the process: the other app's photo is gone, only the saved state is left.
    shadowOf(app.getContentResolver()).registerInputStreamSupplier(PICTURE, () -> new ByteArrayInputStream(new byte[0]));
    ActivityController<ResultActivity> again = Robolectric.buildActivity(ResultActivity.class, shared);
    again.create(saved).start().restoreInstanceState(saved).resume().visible();
    awaitAnswer(again.get());
    assertEquals(answer, text(again.get(), R.id.answer));
    Screens.shoot(again.get(), "result_landscape");
    again.pause().stop().destroy();
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
    GalleryImage added = restarted.finder().withGallery(gallery -> gallery.images().get(before));
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

  @Test
  public void aPictureIsComparedSideBySide() throws Exception {
    try (ActivityController<ResultActivity> result = open(ResultActivity.forFile(app, sample(1)))) {
      result.get().<ViewGroup>findViewById(R.id.grid).getChildAt(0).performClick();
      Intent asked = shadowOf(result.get()).getNextStartedActivityForResult().intent;
      try (ActivityController<CompareActivity> compare =
          Robolectric.buildActivity(CompareActivity.class, asked).setup().visible()) {
        awaitPicture(compare.get(), R.id.thumbnail);
        awaitPicture(compare.get(), R.id.photo);
        assertTrue(text(compare.get(), R.id.similarity).endsWith("%"));
        assertTrue(text(compare.get(), R.id.path).matches("[^/]+/[^/]+"));
        Screens.shoot(compare.get(), "compare");
      }
    }
  }

  private static boolean hasPicture(View view) {
    return view.<ImageView>findViewById(R.id.thumbnail).getDrawable() != null;
  }

  private static void awaitPicture(Activity activity, int id) throws Exception {
    Screens.await("a picture", () -> activity.<ImageView>findViewById(id).getDrawable() != null);
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
  public void brokenAndVanishedPhotosAreAnsweredByAMessage() throws Exception {
    offer(PICTURE, "no picture at all".getBytes("US-ASCII"));
    try (ActivityController<ResultActivity> result = open(ResultActivity.forUri(app, PICTURE))) {
      assertEquals(app.getString(R.string.broken_photo), text(result.get(), R.id.answer));
      assertEquals(View.GONE, result.get().findViewById(R.id.add).getVisibility());
      Screens.shoot(result.get(), "broken_photo");
    }
    byte[] png = Files.read(sample(1));
    offer(PICTURE, java.util.Arrays.copyOf(png, 100));
    try (ActivityController<ResultActivity> result = open(ResultActivity.forUri(app, PICTURE))) {
      assertFalse(text(result.get(), R.id.answer).isEmpty());
    }
    try (ActivityController<ResultActivity> result = open(ResultActivity.forFile(app, new File("gone.png")))) {
      assertEquals(app.getString(R.string.no_photo), text(result.get(), R.id.answer));
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

  @Test
  @Config(qualifiers = "w411dp-h800dp-night-xhdpi")
  public void darkModeIsDark() throws Exception {
    try (ActivityController<MainActivity> main = start()) {
      assertEquals(0xFF121412, main.get().getColor(R.color.background));
      Screens.shoot(main.get(), "start_dark");
    }
    try (ActivityController<ResultActivity> result = open(ResultActivity.forFile(app, sample(1)))) {
      Screens.shoot(result.get(), "result_dark");
    }
  }

  @Test
  @Config(fontScale = 2f)
  public void largeFontsLoseNoText() throws Exception {
    try (ActivityController<MainActivity> main = start()) {
      Screens.shoot(main.get(), "start_large_font");
      for (int id : new int[] {R.id.pick, R.id.take, R.id.count, R.id.model}) {
        assertNothingCutOff(main.get().findViewById(id));
      }
    }
    try (ActivityController<ResultActivity> result = open(ResultActivity.forFile(app, sample(1)))) {
      Screens.shoot(result.get(), "result_large_font");
      assertNothingCutOff(result.get().findViewById(R.id.answer));
      assertNothingCutOff(result.get().findViewById(R.id.add));
    }
  }

  private static void assertNothingCutOff(TextView view) {
    int room = view.getHeight() - view.getCompoundPaddingTop() - view.getCompoundPaddingBottom();
    assertTrue(view.getText().toString(), view.getLayout().getHeight() <= room);
    assertEquals(view.getText().toString(), 0, view.getLayout().getEllipsisCount(view.getLineCount() - 1));
  }

  @Test
  @Config(qualifiers = "ar-rEG-ldrtl-w411dp-h800dp-xhdpi")
  public void rightToLeftIsMirrored() throws Exception {
    try (ActivityController<ResultActivity> result = open(ResultActivity.forFile(app, sample(1)))) {
      View photo = result.get().findViewById(R.id.photo);
      assertTrue(photo.getLeft() > ((View) photo.getParent()).getWidth() / 2);
      Screens.shoot(result.get(), "result_right_to_left");
    }
  }

  @Test
  public void noPermissionIsAskedFor() throws Exception {
    PackageInfo info = app.getPackageManager().getPackageInfo(app.getPackageName(), PackageManager.GET_PERMISSIONS);
    assertNull(info.requestedPermissions);
    assertEquals(0, info.applicationInfo.flags & ApplicationInfo.FLAG_ALLOW_BACKUP);
  }
}
