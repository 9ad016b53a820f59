package peers;

import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.util.Locale;
import java.util.concurrent.atomic.AtomicLong;

/** Counts records and prints "METER count cpu_s rss_kib" every 100 ms until the limit, then ends the process. */
final class Meter {
  static final AtomicLong TAKEN = new AtomicLong();
  private static final OperatingSystemMXBean OS = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();

  private Meter() {}

  static void watch(long limit, long settleMs) {
    Thread thread = new Thread(() -> {
      long reached = 0;
      while (true) {
        long taken = TAKEN.get();
        System.out.printf(Locale.ROOT, "METER %d %.3f%n", taken, OS.getProcessCpuTime() / 1e9);
        if (taken >= limit && reached == 0) reached = System.currentTimeMillis();
        // One more checkpoint or commit belongs to the work.
        if (reached > 0 && System.currentTimeMillis() - reached > settleMs) {
          System.out.flush();
          Runtime.getRuntime().halt(0);
        }
        try {
          Thread.sleep(100);
        } catch (InterruptedException ended) {
          return;
        }
      }
    });
    thread.setDaemon(true);
    thread.start();
  }

  static String setting(String name) {
    String value = System.getenv(name);
    if (value == null) throw new IllegalArgumentException(name + " is not set");
    return value;
  }
}
