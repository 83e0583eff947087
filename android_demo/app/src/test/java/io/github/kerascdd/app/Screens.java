package io.github.kerascdd.app;

import static org.junit.Assert.assertTrue;

import android.app.Activity;
import android.graphics.Bitmap;
import android.graphics.Canvas;
import android.view.View;
import java.io.File;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import org.robolectric.shadows.ShadowLooper;

/** Helpers for the tests of all screens. */
final class Screens {
  private static final int PATIENCE_SECONDS = 60;

  private Screens() {}

  /** A condition that becomes true when background work is done. */
  interface Condition {
    boolean holds();
  }

  static void await(String what, Condition condition) throws InterruptedException {
    long end = System.nanoTime() + PATIENCE_SECONDS * 1_000_000_000L;
    ShadowLooper.idleMainLooper();
    while (!condition.holds() && System.nanoTime() < end) {
      Thread.sleep(10);
      ShadowLooper.idleMainLooper();
    }
    assertTrue(what, condition.holds());
  }

  /** Draws a screen into build/screenshots. */
  static void shoot(Activity activity, String name) throws IOException {
    shoot(activity.getWindow().getDecorView(), name);
  }

  static void shoot(View view, String name) throws IOException {
    if (view.getWidth() == 0) { // a dialog, which no window manager has laid out
      view.measure(View.MeasureSpec.makeMeasureSpec(720, View.MeasureSpec.EXACTLY), View.MeasureSpec.UNSPECIFIED);
      view.layout(0, 0, view.getMeasuredWidth(), view.getMeasuredHeight());
    }
    Bitmap bitmap = Bitmap.createBitmap(view.getWidth(), view.getHeight(), Bitmap.Config.ARGB_8888);
    view.draw(new Canvas(bitmap));
    File folder = new File(System.getProperty("screenshots", "build/screenshots"));
    folder.mkdirs();
    try (OutputStream out = new FileOutputStream(new File(folder, name + ".png"))) {
      assertTrue(bitmap.compress(Bitmap.CompressFormat.PNG, 100, out));
    }
  }
}
