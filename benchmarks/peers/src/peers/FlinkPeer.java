package peers;

import footlights.v1.Performance;
import java.io.IOException;
import java.time.Duration;
import java.util.HashSet;
import java.util.Set;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.AggregateFunction;
import org.apache.flink.api.common.serialization.SerializerConfig;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.common.typeutils.SimpleTypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.TypeSerializer;
import org.apache.flink.api.common.typeutils.TypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.base.TypeSerializerSingleton;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.consumer.ConsumerRecord;

/**
 * Flink on the work of light_8_measures: a local cluster in one process, heap state, object reuse, exactly-once checkpoints to a
 * folder each second, tumbling minutes of event time by operation, deduplication by id within the window.
 */
public final class FlinkPeer {
  /** What crosses keyBy: only the columns that the measures read, as a POJO that Flink serialises by itself. */
  public static final class Slim {
    public String key;
    public String id;
    public long at;
    public String user;
    public String device;
    public String country;
    public Long took;
    public Long status;

    public Slim() {}

    static Slim of(Performance event) {
      Slim slim = new Slim();
      slim.key = Cell.key(event);
      slim.id = event.getMessageId();
      slim.at = event.getOccurredAtMs();
      slim.user = event.getUserId() != null ? event.getUserId() : event.getAnonymousId();
      slim.device = event.getDevice();
      slim.country = event.getCountry();
      slim.took = event.getResponseTimeMs();
      slim.status = event.getStatus();
      return slim;
    }
  }

  static final class Source implements KafkaRecordDeserializationSchema<Slim> {
    private transient Decoder decoder;

    @Override
    public void deserialize(ConsumerRecord<byte[], byte[]> record, Collector<Slim> out) {
      if (decoder == null) decoder = new Decoder();
      out.collect(Slim.of(decoder.decode(record.value())));
    }

    @Override
    public TypeInformation<Slim> getProducedType() {
      return Types.POJO(Slim.class);
    }
  }

  /** Ids and measures of a window; the heap backend holds the object, so only a checkpoint serialises it. */
  static final class Window {
    final Set<String> ids = new HashSet<>();
    Cell cell = new Cell();
  }

  static final class Add implements AggregateFunction<Slim, Window, Double> {
    @Override
    public Window createAccumulator() {
      return new Window();
    }

    @Override
    public Window add(Slim event, Window window) {
      if (window.ids.add(event.id)) {
        window.cell.add(event.user, event.device, event.country, event.took, event.status);
      }
      Meter.TAKEN.incrementAndGet();
      return window;
    }

    @Override
    public Double getResult(Window window) {
      return window.cell.check();
    }

    @Override
    public Window merge(Window a, Window b) {
      throw new UnsupportedOperationException();
    }
  }

  static final class WindowSerializer extends TypeSerializerSingleton<Window> {
    static final WindowSerializer INSTANCE = new WindowSerializer();

    @Override
    public boolean isImmutableType() {
      return false;
    }

    @Override
    public Window createInstance() {
      return new Window();
    }

    @Override
    public Window copy(Window from) {
      Window to = new Window();
      to.ids.addAll(from.ids);
      to.cell = Cell.of(Cell.bytes(from.cell));
      return to;
    }

    @Override
    public Window copy(Window from, Window reuse) {
      return copy(from);
    }

    @Override
    public int getLength() {
      return -1;
    }

    @Override
    public void serialize(Window window, DataOutputView out) throws IOException {
      out.writeInt(window.ids.size());
      for (String id : window.ids) out.writeUTF(id);
      window.cell.write(out);
    }

    @Override
    public Window deserialize(DataInputView in) throws IOException {
      Window window = new Window();
      for (int left = in.readInt(); left > 0; left--) window.ids.add(in.readUTF());
      window.cell = Cell.read(in);
      return window;
    }

    @Override
    public Window deserialize(Window reuse, DataInputView in) throws IOException {
      return deserialize(in);
    }

    @Override
    public void copy(DataInputView in, DataOutputView out) throws IOException {
      serialize(deserialize(in), out);
    }

    @Override
    public TypeSerializerSnapshot<Window> snapshotConfiguration() {
      return new Snapshot();
    }

    public static final class Snapshot extends SimpleTypeSerializerSnapshot<Window> {
      public Snapshot() {
        super(() -> INSTANCE);
      }
    }
  }

  static final class WindowType extends TypeInformation<Window> {
    @Override
    public boolean isBasicType() {
      return false;
    }

    @Override
    public boolean isTupleType() {
      return false;
    }

    @Override
    public int getArity() {
      return 1;
    }

    @Override
    public int getTotalFields() {
      return 1;
    }

    @Override
    public Class<Window> getTypeClass() {
      return Window.class;
    }

    @Override
    public boolean isKeyType() {
      return false;
    }

    @Override
    public TypeSerializer<Window> createSerializer(SerializerConfig config) {
      return WindowSerializer.INSTANCE;
    }

    @Override
    public String toString() {
      return "Window";
    }

    @Override
    public boolean equals(Object other) {
      return other instanceof WindowType;
    }

    @Override
    public int hashCode() {
      return 1;
    }

    @Override
    public boolean canEqual(Object other) {
      return other instanceof WindowType;
    }
  }

  public static void main(String[] args) throws Exception {
    Configuration settings = new Configuration();
    settings.setString("state.backend.type", "hashmap");
    settings.setString("execution.checkpointing.interval", "1000 ms");
    settings.setString("execution.checkpointing.mode", "EXACTLY_ONCE");
    settings.setString("execution.checkpointing.dir", "file://" + Meter.setting("STATE"));
    settings.setString("pipeline.object-reuse", "true");
    settings.setString("rest.port", "0");
    settings.setString("rest.bind-port", "0");
    StreamExecutionEnvironment environment = StreamExecutionEnvironment.createLocalEnvironment(1, settings);
    KafkaSource<Slim> source = KafkaSource.<Slim>builder()
        .setBootstrapServers(Meter.setting("BOOTSTRAP"))
        .setTopics(Meter.setting("TOPIC"))
        .setGroupId(Meter.setting("APP"))
        .setStartingOffsets(OffsetsInitializer.earliest())
        .setDeserializer(new Source())
        .setProperty("fetch.min.bytes", "100000")
        .setProperty("fetch.max.wait.ms", "50")
        .setProperty("max.poll.records", "1000")
        .build();
    var late = WatermarkStrategy.<Slim>forBoundedOutOfOrderness(Duration.ofSeconds(30))
        .withTimestampAssigner((event, at) -> event.at);
    environment.fromSource(source, late, "events")
        .keyBy(event -> event.key, Types.STRING)
        .window(TumblingEventTimeWindows.of(Duration.ofMinutes(1)))
        .allowedLateness(Duration.ofHours(2))
        .aggregate(new Add(), new WindowType(), Types.DOUBLE)
        .sinkTo(new DiscardingSink<>());
    Meter.watch(Long.parseLong(Meter.setting("LIMIT")), 1_500);
    environment.execute("light_8_measures");
  }
}
