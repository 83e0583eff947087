package io.github.kerascdd.app;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertThrows;
import static org.robolectric.Shadows.shadowOf;

import android.content.ComponentName;
import android.content.Intent;
import android.content.pm.ActivityInfo;
import android.content.pm.PackageInfo;
import android.content.pm.PackageManager;
import android.content.pm.ProviderInfo;
import android.net.Uri;
import android.os.Bundle;
import io.github.kerascdd.core.Files;
import java.io.File;
import java.io.FileNotFoundException;
import java.io.InputStream;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import org.junit.Test;
import org.robolectric.Robolectric;
import org.robolectric.android.controller.ActivityController;

/** What other apps may do to this one. */
public class ShareTest extends AppCase {
  private static final String DOOR = "io.github.kerascdd.app.ShareActivity";

  private Intent share(Object stream) {
    Intent intent = new Intent(Intent.ACTION_SEND).setType("image/png").setComponent(new ComponentName(app, DOOR));
    if (stream instanceof Uri) {
      intent.putExtra(Intent.EXTRA_STREAM, (Uri) stream);
    } else if (stream instanceof String) {
      intent.putExtra(Intent.EXTRA_STREAM, (String) stream);
    } else if (stream instanceof Bundle) {
      intent.putExtra(Intent.EXTRA_STREAM, (Bundle) stream);
    }
    return intent;
  }

  private void assertNoPhoto(Intent hostile) throws Exception {
    try (ActivityController<ResultActivity> result = open(hostile)) {
      assertEquals(hostile.toString(), app.getString(R.string.no_photo), text(result.get(), R.id.answer));
    }
  }

  @Test
  public void onlyTheStartScreenAndTheDoorForPhotosAreOpen() throws Exception {
    int what = PackageManager.GET_ACTIVITIES | PackageManager.GET_PROVIDERS | PackageManager.GET_SERVICES | PackageManager.GET_RECEIVERS;
    PackageInfo info = app.getPackageManager().getPackageInfo(app.getPackageName(), what);
    Set<String> open = new HashSet<>();
    for (ActivityInfo activity : info.activities) {
      if (activity.exported) {
        open.add(activity.name);
      }
    }
    assertEquals(new HashSet<>(Arrays.asList(MainActivity.class.getName(), DOOR)), open);
    assertEquals(0, info.services == null ? 0 : info.services.length);
    assertEquals(0, info.receivers == null ? 0 : info.receivers.length);
    for (ProviderInfo provider : info.providers) {
      assertFalse(provider.exported);
      assertEquals(1, provider.uriPermissionPatterns.length);
      assertEquals("/photo.jpg", provider.uriPermissionPatterns[0].getPath());
    }
  }

  @Test
  public void aSharedPhotoComesByTheDoor() throws Exception {
    offer(PICTURE, Files.read(sample(1)));
    try (ActivityController<ResultActivity> result = open(share(PICTURE))) {
      assertFalse(app.getString(R.string.no_photo).equals(text(result.get(), R.id.answer)));
    }
  }

  @Test
  public void noFileOfThisAppCanBeNamed() throws Exception {
    File own = sample(1);
    assertNoPhoto(share(null).putExtra("file", own.getPath()));
    assertNoPhoto(share(null).setAction(null).putExtra("file", own.getPath()));
    assertNoPhoto(share(Uri.fromFile(own)));
    assertNoPhoto(share(null).setData(Uri.fromFile(own)));
    assertNoPhoto(share(CameraProvider.PHOTO));
    assertNoPhoto(share(Uri.parse("content://0@io.github.kerascdd.app.camera/photo.jpg")));
    CameraProvider provider = Robolectric.setupContentProvider(CameraProvider.class, CameraProvider.PHOTO.getAuthority());
    for (String path : new String[] {"", "/", "/../files/bundled/manifest.json", "/photo.jpg/..", "/photo.jpg?x"}) {
      Uri other = Uri.parse("content://io.github.kerascdd.app.camera" + path);
      assertThrows(FileNotFoundException.class, () -> provider.openFile(other, "r"));
    }
  }

  @Test
  public void oddSharesAreAnsweredByAMessage() throws Exception {
    assertNoPhoto(share(null));
    assertNoPhoto(share("content://pictures/7"));
    assertNoPhoto(share(new Bundle()));
    assertNoPhoto(share(Uri.parse("")));
    assertNoPhoto(share(Uri.parse("content:")));
    assertNoPhoto(share(Uri.parse("javascript:alert(1)")));
    for (RuntimeException failure : new RuntimeException[] {new SecurityException("no"), new IllegalStateException("odd")}) {
      shadowOf(app.getContentResolver()).registerInputStreamSupplier(PICTURE, () -> {
        throw failure;
      });
      assertNoPhoto(share(PICTURE));
    }
  }

  /** The other app never answers: its photo does not come, everything else goes on. */
  @Test
  public void anEndlessShareBlocksNothing() throws Exception {
    CountDownLatch end = new CountDownLatch(1);
    shadowOf(app.getContentResolver()).registerInputStream(PICTURE, new InputStream() {
      @Override
      public int read() throws java.io.IOException {
        try {
          end.await();
        } catch (InterruptedException e) {
          throw new java.io.IOException(e);
        }
        return -1;
      }
    });
    ActivityController<ResultActivity> waiting = Robolectric.buildActivity(ResultActivity.class, share(PICTURE)).setup();
    try (ActivityController<ResultActivity> result = open(ResultActivity.forFile(app, sample(1)))) {
      assertFalse(text(result.get(), R.id.answer).isEmpty());
    }
    waiting.pause().stop().destroy();
    end.countDown();
  }
}
