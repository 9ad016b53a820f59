package peers;

import footlights.v1.Performance;
import java.io.IOException;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.specific.SpecificDatumReader;

/** Confluent-framed bytes to a record, with Avro's generated coders. One instance a thread. */
final class Decoder {
  private static final int HEADER = 5;
  private final SpecificDatumReader<Performance> reader = new SpecificDatumReader<>(Performance.class);
  private BinaryDecoder binary;

  Performance decode(byte[] payload) {
    if (payload[0] != 0) throw new IllegalArgumentException("no Confluent header");
    binary = DecoderFactory.get().binaryDecoder(payload, HEADER, payload.length - HEADER, binary);
    try {
      return reader.read(null, binary);
    } catch (IOException broken) {
      throw new IllegalArgumentException(broken);
    }
  }
}
