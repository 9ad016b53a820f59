import com.clickhouse.client.api.ServerException;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.LocalDate;
import java.time.ZonedDateTime;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Properties;
import java.util.UUID;

/**
 * ClickHouse's JDBC driver: reads and writes.
 *
 * <p>In: the store's address and users from the environment, the columns of a table as the first argument. Out: a line
 * {@code ok NAME} for each check. Never: a check that is passed over.
 */
public final class Clients {
  private static final int ROWS = 100_000;

  private Clients() {}

  private static Connection connect(String user, String password, String... options) throws SQLException {
    Properties properties = new Properties();
    properties.setProperty("user", user);
    properties.setProperty("password", password == null ? "" : password);
    for (int i = 0; i < options.length; i += 2) {
      properties.setProperty(options[i], options[i + 1]);
    }
    String address = System.getenv("STORE_HOST") + ":" + System.getenv("STORE_PORT");
    return DriverManager.getConnection("jdbc:clickhouse:http://" + address + "/default", properties);
  }

  private static Connection writer(String... options) throws SQLException {
    return connect(System.getenv("STORE_WRITER"), System.getenv("STORE_WRITER_PASSWORD"), options);
  }

  private static void equal(String what, Object got, Object want) {
    if (!Objects.equals(got, want)) {
      throw new AssertionError(what + ": got " + got + ", want " + want);
    }
  }

  private static void run(Connection connection, String sql) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      statement.execute(sql);
    }
  }

  private static int refusal(Connection connection, String sql) {
    try {
      run(connection, sql);
      return 0;
    } catch (SQLException error) {
      // The driver keeps ClickHouse's code in the cause; its own code is always 0.
      return error.getCause() instanceof ServerException refused ? refused.getCode() : error.getErrorCode();
    }
  }

  private static void types(Connection connection, String columns) throws SQLException {
    run(connection, "CREATE OR REPLACE TABLE clients_jvm (" + columns + ") ENGINE = MergeTree ORDER BY n");
    run(
        connection,
        "INSERT INTO clients_jvm VALUES (18446744073709551615, 'naïve\\t\\'quoted\\'\\n', 'vip', 'gate', NULL,"
            + " 115792089237316195423570985008687907853269984665640564039457584007913129639935,"
            + " -170141183460469231731687303715884105728, -1234567.8912, '2024-02-29 23:59:59.999',"
            + " '2024-07-01 12:00:00', '2026-11-25', '0190163d-8694-739b-aea5-966c26f8ad90', '192.0.2.1', true, 0.1,"
            + " ['x', '', 'z'], {'a': 1}, ('left', -7))");
    try (Statement statement = connection.createStatement();
        ResultSet rows = statement.executeQuery("SELECT * FROM clients_jvm")) {
      equal("a row", rows.next(), true);
      equal("n", rows.getBigDecimal("n"), new BigDecimal("18446744073709551615"));
      equal("text", rows.getString("text"), "naïve\t'quoted'\n");
      equal("word", rows.getString("word"), "vip");
      equal("word_or_null", rows.getString("word_or_null"), "gate");
      equal("number", rows.getObject("number"), null);
      equal("huge", rows.getObject("huge"), BigInteger.TWO.pow(256).subtract(BigInteger.ONE));
      equal("low", rows.getObject("low"), BigInteger.TWO.pow(127).negate());
      equal("price", rows.getBigDecimal("price"), new BigDecimal("-1234567.8912"));
      ZonedDateTime at = rows.getObject("at", ZonedDateTime.class);
      equal("at", at.toInstant(), ZonedDateTime.parse("2024-02-29T23:59:59.999+09:00").toInstant());
      ZonedDateTime second = rows.getObject("second", ZonedDateTime.class);
      equal("second", second.toInstant(), ZonedDateTime.parse("2024-07-01T12:00:00-04:00").toInstant());
      equal("day", rows.getObject("day", LocalDate.class), LocalDate.of(2026, 11, 25));
      equal("id", rows.getObject("id"), UUID.fromString("0190163d-8694-739b-aea5-966c26f8ad90"));
      equal("address", rows.getString("address").replace("/", ""), "192.0.2.1");
      equal("flag", rows.getBoolean("flag"), true);
      equal("ratio", rows.getDouble("ratio"), 0.1);
      List<?> tags = Arrays.asList((Object[]) rows.getArray("tags").getArray());
      equal("tags", tags, List.of("x", "", "z"));
      equal("counts", String.valueOf(((Map<?, ?>) rows.getObject("counts")).get("a")), "1");
      equal("pair", Arrays.toString((Object[]) rows.getObject("pair")), "[left, -7]");
      equal("another row", rows.next(), false);
    }
  }

  private static void stream(Connection connection) throws SQLException {
    run(connection, "CREATE OR REPLACE TABLE clients_jvm_many (n UInt64, s String) ENGINE = MergeTree ORDER BY n");
    try (PreparedStatement insert = connection.prepareStatement("INSERT INTO clients_jvm_many VALUES (?, ?)")) {
      for (int n = 0; n < ROWS; n++) {
        insert.setLong(1, n);
        insert.setString(2, "row " + n);
        insert.addBatch();
        if (n % 20_000 == 19_999) {
          insert.executeBatch();
        }
      }
    }
    try (Statement statement = connection.createStatement();
        ResultSet rows = statement.executeQuery("SELECT n, s FROM clients_jvm_many ORDER BY n")) {
      for (int n = 0; n < ROWS; n++) {
        equal("a row", rows.next(), true);
        equal("n", rows.getLong(1), (long) n);
        equal("s", rows.getString(2), "row " + n);
      }
      equal("another row", rows.next(), false);
    }
  }

  private static void cancel(Connection connection) throws Exception {
    try (Statement statement = connection.createStatement()) {
      Thread stopper =
          new Thread(
              () -> {
                try {
                  Thread.sleep(1000);
                  statement.cancel();
                } catch (InterruptedException | SQLException error) {
                  throw new IllegalStateException(error);
                }
              });
      stopper.start();
      boolean stopped = false;
      try (ResultSet rows =
          statement.executeQuery("SELECT sum(sleepEachRow(0.5)) FROM numbers(60) SETTINGS max_block_size = 1")) {
        rows.next();
      } catch (SQLException error) {
        stopped = true;
      }
      stopper.join();
      equal("stopped", stopped, true);
    }
  }

  private static void parameters(Connection connection) throws SQLException {
    try (PreparedStatement statement = connection.prepareStatement("SELECT ?, ? + 1")) {
      statement.setString(1, "O'Hara é");
      statement.setInt(2, 41);
      try (ResultSet rows = statement.executeQuery()) {
        rows.next();
        equal("text", rows.getString(1), "O'Hara é");
        equal("number", rows.getInt(2), 42);
      }
      statement.setMaxRows(10);
      statement.setQueryTimeout(20);
      try (ResultSet rows = statement.executeQuery()) {
        equal("a row within limits", rows.next(), true);
      }
    }
  }

  private static void session() throws SQLException {
    try (Connection connection = writer("clickhouse_setting_session_id", "clients-jvm")) {
      run(connection, "CREATE TEMPORARY TABLE mine (x UInt8)");
      run(connection, "INSERT INTO mine VALUES (1), (2)");
      try (Statement statement = connection.createStatement();
          ResultSet rows = statement.executeQuery("SELECT sum(x) FROM mine")) {
        rows.next();
        equal("sum", rows.getInt(1), 3);
      }
    }
  }

  private static void reader() throws SQLException {
    try (Connection connection = connect(System.getenv("STORE_READER"), "");
        Statement statement = connection.createStatement()) {
      statement.setMaxRows(10);
      statement.setQueryTimeout(20);
      try (ResultSet rows = statement.executeQuery("SELECT n FROM clients_jvm_many ORDER BY n LIMIT 5")) {
        equal("a row", rows.next(), true);
      }
      try (ResultSet tables = connection.getMetaData().getTables(null, "default", "clients_jvm%", null)) {
        equal("a table", tables.next(), true);
      }
      equal("create", refusal(connection, "CREATE TABLE clients_jvm_no (n UInt8) ENGINE = Memory"), 497);
      equal("insert", refusal(connection, "INSERT INTO clients_jvm_many VALUES (1, 'a')"), 497);
    }
  }

  public static void main(String[] arguments) throws Exception {
    String columns = Files.readString(Path.of(arguments[0]));
    try (Connection connection = writer()) {
      equal("valid", connection.isValid(10), true);
      System.out.println("ok ping");
      types(connection, columns);
      System.out.println("ok types");
      for (String compress : new String[] {"true", "false"}) {
        try (Connection chosen = writer("compress", compress, "decompress", compress)) {
          stream(chosen);
        }
        System.out.println("ok stream " + compress);
      }
      // For answers only: the library that packs requests here takes minutes for a few megabytes.
      try (Connection chosen = writer("client.use_http_compression", "true")) {
        stream(chosen);
      }
      System.out.println("ok stream http");
      equal("error", refusal(connection, "SELECT * FROM nowhere"), 60);
      System.out.println("ok error");
      parameters(connection);
      System.out.println("ok parameters");
      cancel(connection);
      System.out.println("ok cancel");
    }
    session();
    System.out.println("ok session");
    reader();
    System.out.println("ok reader");
  }
}
