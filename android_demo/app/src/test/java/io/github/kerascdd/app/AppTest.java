package io.github.kerascdd.app;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertTrue;
import static org.robolectric.Shadows.shadowOf;

import android.app.Activity;
import android.content.Intent;
import android.content.pm.ApplicationInfo;
import android.content.pm.PackageInfo;
import android.content.pm.PackageManager;
import android.graphics.Bitmap;
import android.graphics.Canvas;
import android.graphics.Paint;
import android.media.ExifInterface;
import android.net.Uri;
import android.os.Bundle;
import android.provider.MediaStore;
import android.view.View;
import android.view.ViewGroup;
import android.widget.ImageView;
import android.widget.TextView;
import io.github.kerascdd.core.Files;
import java.io.ByteArrayInputStream;
import java.io.File;
import java.io.FileOutputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import org.json.JSONArray;
import org.json.JSONObject;
import org.junit.Test;
import org.robolectric.Robolectric;
import org.robolectric.RuntimeEnvironment;
import org.robolectric.android.controller.ActivityController;

/** Photos and their answers. */
public class AppTest extends AppCase {
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

  private static void awaitPicture(Activity activity, int id) throws Exception {
    Screens.await("a picture", () -> activity.<ImageView>findViewById(id).getDrawable() != null);
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
  public void noPermissionIsAskedFor() throws Exception {
    PackageInfo info = app.getPackageManager().getPackageInfo(app.getPackageName(), PackageManager.GET_PERMISSIONS);
    assertNull(info.requestedPermissions);
    assertEquals(0, info.applicationInfo.flags & ApplicationInfo.FLAG_ALLOW_BACKUP);
  }
}
