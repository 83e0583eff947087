package io.github.kerascdd.app;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import android.view.View;
import android.widget.TextView;
import org.junit.Test;
import org.robolectric.android.controller.ActivityController;
import org.robolectric.annotation.Config;

/** Dark mode, large fonts, and writing from the right. */
public class LooksTest extends AppCase {
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
}
