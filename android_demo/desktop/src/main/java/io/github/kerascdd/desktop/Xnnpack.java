package io.github.kerascdd.desktop;

import com.sun.jna.Memory;
import com.sun.jna.NativeLibrary;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.tensorflowlite.TfLiteDelegate;
import org.bytedeco.tensorflowlite.global.tensorflowlite;

/**
 * XNNPACK's kernels, which TensorFlow Lite uses by default on phones and in Python. The built-in integer
 * kernels round differently. The desktop library contains XNNPACK, but disables it for integers and has no
 * Java method to enable it; therefore its C functions are called by name.
 */
final class Xnnpack {
  // struct TfLiteXNNPackDelegateOptions { int32_t num_threads; uint32_t flags; ... }, all else zero by default.
  private static final int OPTIONS_BYTES = 256;
  private static final int FLAGS_OFFSET = 4;
  private static final int SIGNED_AND_UNSIGNED_INTEGERS = 1 | 2;

  private Xnnpack() {}

  /** A delegate for one thread; it is never freed. */
  static TfLiteDelegate delegate() {
    NativeLibrary library = NativeLibrary.getInstance(Loader.load(tensorflowlite.class));
    try (Memory options = new Memory(OPTIONS_BYTES)) {
      options.clear();
      options.setInt(FLAGS_OFFSET, SIGNED_AND_UNSIGNED_INTEGERS);
      Object[] arguments = {options};
      com.sun.jna.Pointer delegate = library.getFunction("TfLiteXNNPackDelegateCreate").invokePointer(arguments);
      return new TfLiteDelegate(new Address(com.sun.jna.Pointer.nativeValue(delegate)));
    }
  }

  /** Converts a pointer of one binding to that of another. */
  private static final class Address extends Pointer {
    Address(long address) {
      super((Pointer) null);
      this.address = address;
    }
  }
}
