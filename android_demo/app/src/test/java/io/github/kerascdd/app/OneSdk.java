package io.github.kerascdd.app;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import javax.annotation.Priority;
import javax.inject.Inject;
import org.robolectric.internal.dependency.DependencyResolver;
import org.robolectric.pluginapi.Sdk;
import org.robolectric.plugins.DefaultSdkProvider;

/**
 * Robolectric loads the newest Android version that it knows in addition to the one under test. With 34 as the
 * newest, a single jar of 151 MB is enough. Registered in META-INF/services.
 */
@Priority(1)
public class OneSdk extends DefaultSdkProvider {
  @Inject
  public OneSdk(DependencyResolver resolver) {
    super(resolver);
  }

  @Override
  public Collection<Sdk> getSdks() {
    List<Sdk> sdks = new ArrayList<>();
    for (Sdk sdk : super.getSdks()) {
      if (sdk.getApiLevel() <= 34) {
        sdks.add(sdk);
      }
    }
    return sdks;
  }
}
