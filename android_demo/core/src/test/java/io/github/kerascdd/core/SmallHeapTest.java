package io.github.kerascdd.core;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import java.io.File;
import java.nio.charset.StandardCharsets;
import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;

public class SmallHeapTest {
  @Rule public final TemporaryFolder temporary = new TemporaryFolder();

  /** A JVM of its own, whose heap has room for less than half of the vectors; with both of its compilers. */
  @Test
  public void aMillionAreSearchedInAHeapOf64Megabytes() throws Exception {
    String java = new File(System.getProperty("java.home"), "bin/java").getPath();
    Process process =
        new ProcessBuilder(
                java, "-Xmx64m", "-XX:+UseSerialGC", "-cp", System.getProperty("java.class.path"),
                SearchBenchmark.class.getName(), "1000000", "128", temporary.getRoot().getPath())
            .redirectErrorStream(true)
            .start();
    String said = new String(Files.read(process.getInputStream()), StandardCharsets.UTF_8);
    assertEquals(said, 0, process.waitFor());
    assertTrue(said, said.startsWith("top 5 of 1,000,000 x 128 int8: "));
    System.out.print(said);
  }
}
