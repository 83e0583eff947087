package io.github.kerascdd.app;

import static org.junit.Assert.assertTrue;
import static org.robolectric.Shadows.shadowOf;

import android.app.Activity;
import android.content.Intent;
import android.net.Uri;
import android.view.View;
import android.widget.TextView;
import io.github.kerascdd.core.Gallery;
import io.github.kerascdd.core.Pair;
import java.io.ByteArrayInputStream;
import java.io.File;
import java.util.concurrent.TimeUnit;
import org.junit.After;
import org.junit.Before;
import org.junit.runner.RunWith;
import org.robolectric.Robolectric;
import org.robolectric.RobolectricTestRunner;
import org.robolectric.RuntimeEnvironment;
import org.robolectric.android.controller.ActivityController;
import org.robolectric.annotation.Config;
import org.robolectric.annotation.GraphicsMode;
import org.robolectric.annotation.SQLiteMode;

/** Tests of the whole app, with its real model, gallery and graphics; they leave screenshots. */
@RunWith(RobolectricTestRunner.class)
@Config(sdk = 34, application = TestApp.class, qualifiers = "w411dp-h800dp-xhdpi")
@GraphicsMode(GraphicsMode.Mode.NATIVE)
@SQLiteMode(SQLiteMode.Mode.NATIVE)
abstract class AppCase {
  static final Uri PICTURE = Uri.parse("content://pictures/7");
  DemoApp app;
  Pair pair;

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

  static ActivityController<MainActivity> start() throws Exception {
    ActivityController<MainActivity> main = Robolectric.buildActivity(MainActivity.class).setup().visible();
    Screens.await("the start screen", () -> text(main.get(), R.id.model).length() > 0);
    return main;
  }

  static ActivityController<ResultActivity> open(Intent intent) throws Exception {
    ActivityController<ResultActivity> result = Robolectric.buildActivity(ResultActivity.class, intent).setup().visible();
    awaitAnswer(result.get());
    return result;
  }

  static void awaitAnswer(ResultActivity result) throws Exception {
    Screens.await("an answer", () -> result.findViewById(R.id.progress).getVisibility() == View.GONE);
  }

  static String text(Activity activity, int id) {
    return activity.<TextView>findViewById(id).getText().toString();
  }

  File sample(int index) {
    return new File(pair.folder, pair.manifest.samples.get(index).file);
  }

  void offer(Uri uri, byte[] bytes) {
    shadowOf(app.getContentResolver()).registerInputStream(uri, new ByteArrayInputStream(bytes));
  }

  int gallerySize() throws Exception {
    return app.finder().withGallery(Gallery::size);
  }
}
