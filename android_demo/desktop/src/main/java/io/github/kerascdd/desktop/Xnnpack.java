package io.github.kerascdd.desktop;

import com.sun.jna.Memory;
import com.sun.jna.NativeLibrary;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.tensorflowlite.TfLiteDelegate;
import org.bytedeco.tensorflowlite.global.tensorflowlite;

/**
 * XNNPACK's kernels, which TensorFlow Lite uses by itself on phones and in Python. Integer models round
 * otherwise with the built-in ones. The desktop library has them, switched off for integers and with no
 * Java method to switch them on; hence the call by name.
 */
final class Xnnpack {
  // struct TfLiteXNNPackDelegateOptions { int32_t num_threads; uint32_t flags; ... }, all else zero by default.
  private static final int OPTIONS_BYTES = 256;
  private static final int FLAGS_OFFSET = 4;
  private static final int SIGNED_AND_UNSIGNED_INTEGERS = 1 | 2;

  private Xnnpack() {}

  /** A delegate for one thread; it lives as long as the process. */
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

  /** One library's pointer as another's. */
  private static final class Address extends Pointer {
    Address(long address) {
      super((Pointer) null);
      this.address = address;
    }
  }
}
