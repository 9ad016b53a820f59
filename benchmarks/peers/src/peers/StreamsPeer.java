package peers;

import footlights.v1.Performance;
import java.time.Duration;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;
import org.apache.kafka.streams.state.WindowStore;

/**
 * Kafka Streams on the work of light_8_measures: deduplication by id within a minute, eight measures of an operation and minute per
 * partition, exactly once, in-memory stores with changelogs, a commit each second, the cache in front of the store.
 */
public final class StreamsPeer {
  private static final String SEEN = "seen";
  private static final String CELLS = "cells";

  static final class Measures implements Processor<byte[], byte[], Void, Void> {
    private final Decoder decoder = new Decoder();
    private WindowStore<String, byte[]> seen;
    private KeyValueStore<String, Cell> cells;

    @Override
    public void init(ProcessorContext<Void, Void> context) {
      seen = context.getStateStore(SEEN);
      cells = context.getStateStore(CELLS);
    }

    @Override
    public void process(Record<byte[], byte[]> record) {
      Performance event = decoder.decode(record.value());
      long minute = Cell.minute(event);
      if (seen.fetch(event.getMessageId(), minute) == null) {
        seen.put(event.getMessageId(), new byte[0], minute);
        String key = minute + " " + Cell.key(event);
        Cell cell = cells.get(key);
        if (cell == null) cell = new Cell();
        cell.add(event);
        cells.put(key, cell);
      }
      Meter.TAKEN.incrementAndGet();
    }
  }

  public static void main(String[] args) throws InterruptedException {
    Properties settings = new Properties();
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, Meter.setting("APP"));
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, Meter.setting("BOOTSTRAP"));
    settings.put(StreamsConfig.STATE_DIR_CONFIG, Meter.setting("STATE"));
    settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 1_000);
    settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 128L << 20);
    settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
    settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
    settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.FETCH_MIN_BYTES_CONFIG), 100_000);
    settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.FETCH_MAX_WAIT_MS_CONFIG), 50);
    settings.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), 100);
    settings.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 128 * 1024);

    var bytes = Serdes.ByteArray();
    var cell = Serdes.serdeFrom((topic, held) -> Cell.bytes(held), (topic, held) -> Cell.of(held));
    Duration minute = Duration.ofMinutes(1);
    StreamsBuilder builder = new StreamsBuilder();
    builder.addStateStore(
        Stores.windowStoreBuilder(Stores.inMemoryWindowStore(SEEN, Duration.ofMinutes(10), minute, false), Serdes.String(), bytes));
    builder.addStateStore(
        Stores.keyValueStoreBuilder(Stores.inMemoryKeyValueStore(CELLS), Serdes.String(), cell).withCachingEnabled());
    builder.stream(Meter.setting("TOPIC"), Consumed.with(bytes, bytes)).process(Measures::new, SEEN, CELLS);
    KafkaStreams streams = new KafkaStreams(builder.build(), settings);
    streams.setUncaughtExceptionHandler(problem -> {
      problem.printStackTrace();
      Runtime.getRuntime().halt(3);
      return null;
    });
    Meter.watch(Long.parseLong(Meter.setting("LIMIT")), 1_500);
    streams.start();
    Thread.currentThread().join();
  }
}
