package peers;

import footlights.v1.Performance;
import java.io.DataInput;
import java.io.DataOutput;
import java.io.IOException;
import org.apache.datasketches.hll.HllSketch;
import org.apache.datasketches.kll.KllFloatsSketch;
import org.apache.datasketches.memory.Memory;

/** The eight measures of one operation and minute, as benchmarks/light.py declares them: sums, distinct users, quantiles. */
public final class Cell {
  private static final int LOG_REGISTERS = 14;

  long requests;
  long time;
  long slow;
  long mobile;
  long german;
  long errors;
  private final HllSketch users;
  private final KllFloatsSketch latency;

  public Cell() {
    this(new HllSketch(LOG_REGISTERS), KllFloatsSketch.newHeapInstance());
  }

  private Cell(HllSketch users, KllFloatsSketch latency) {
    this.users = users;
    this.latency = latency;
  }

  void add(Performance record) {
    String user = record.getUserId() != null ? record.getUserId() : record.getAnonymousId();
    add(user, record.getDevice(), record.getCountry(), record.getResponseTimeMs(), record.getStatus());
  }

  void add(String user, String device, String country, Long took, Long status) {
    requests++;
    if (took != null) {
      time += took;
      slow += took > 500 ? 1 : 0;
      latency.update(took);
    }
    mobile += "mobile".equals(device) ? 1 : 0;
    german += "DE".equals(country) ? 1 : 0;
    errors += status != null && status >= 500 ? 1 : 0;
    if (user != null) users.update(user);
  }

  void write(DataOutput out) throws IOException {
    for (long value : new long[] {requests, time, slow, mobile, german, errors}) out.writeLong(value);
    for (byte[] sketch : new byte[][] {users.toCompactByteArray(), latency.toByteArray()}) {
      out.writeInt(sketch.length);
      out.write(sketch);
    }
  }

  static Cell read(DataInput in) throws IOException {
    long[] sums = new long[6];
    for (int i = 0; i < sums.length; i++) sums[i] = in.readLong();
    byte[] users = sketch(in);
    Cell cell = new Cell(HllSketch.heapify(users), KllFloatsSketch.heapify(Memory.wrap(sketch(in))));
    cell.requests = sums[0];
    cell.time = sums[1];
    cell.slow = sums[2];
    cell.mobile = sums[3];
    cell.german = sums[4];
    cell.errors = sums[5];
    return cell;
  }

  private static byte[] sketch(DataInput in) throws IOException {
    byte[] held = new byte[in.readInt()];
    in.readFully(held);
    return held;
  }

  /** Keeps the sketches from being optimised away. */
  double check() {
    return users.getEstimate() + (latency.isEmpty() ? 0 : latency.getQuantile(0.95));
  }

  static byte[] bytes(Cell cell) {
    var buffer = new java.io.ByteArrayOutputStream(4_096);
    try {
      cell.write(new java.io.DataOutputStream(buffer));
    } catch (IOException impossible) {
      throw new IllegalStateException(impossible);
    }
    return buffer.toByteArray();
  }

  static Cell of(byte[] held) {
    try {
      return read(new java.io.DataInputStream(new java.io.ByteArrayInputStream(held)));
    } catch (IOException impossible) {
      throw new IllegalStateException(impossible);
    }
  }

  static long minute(Performance record) {
    return record.getOccurredAtMs() / 60_000 * 60_000;
  }

  static String key(Performance record) {
    return record.getComponent() + ' ' + record.getOperation();
  }
}
