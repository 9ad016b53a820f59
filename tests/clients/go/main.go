// clickhouse-go: reads and writes, by its own interface and by database/sql.
//
// In: the store's address and users from the environment, the columns of a table as the first argument.
// Out: a line `ok NAME` for each check.
// Never: a check that is passed over.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"math/big"
	"net"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/uuid"
	"github.com/shopspring/decimal"
)

const rows = 100_000

// options return how a user connects: everything that clickhouse-go sends is its own default, but the protocol.
func options(user, password string, method clickhouse.CompressionMethod) *clickhouse.Options {
	return &clickhouse.Options{
		Protocol:    clickhouse.HTTP,
		Addr:        []string{net.JoinHostPort(os.Getenv("STORE_HOST"), os.Getenv("STORE_PORT"))},
		Auth:        clickhouse.Auth{Database: "default", Username: user, Password: password},
		Compression: &clickhouse.Compression{Method: method},
		Settings:    clickhouse.Settings{"max_execution_time": 30},
	}
}

func writer(method clickhouse.CompressionMethod) *clickhouse.Options {
	return options(os.Getenv("STORE_WRITER"), os.Getenv("STORE_WRITER_PASSWORD"), method)
}

func reader() *clickhouse.Options {
	return options(os.Getenv("STORE_READER"), "", clickhouse.CompressionLZ4)
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func value[T any](v T, err error) T {
	must(err)
	return v
}

func equal(got, want any) {
	if !reflect.DeepEqual(got, want) {
		log.Fatalf("got %#v, want %#v", got, want)
	}
}

func code(err error) int32 {
	var exception *clickhouse.Exception
	if errors.As(err, &exception) {
		return exception.Code
	}
	if err == nil {
		log.Fatal("no error")
	}
	// Over HTTP the library hands on the answer's text.
	var found int32
	if at := strings.Index(err.Error(), "Code: "); at >= 0 {
		_, _ = fmt.Sscanf(err.Error()[at:], "Code: %d", &found)
	}
	return found
}

// types writes one value of each type and reads it back.
func types(ctx context.Context, conn clickhouse.Conn, columns string) {
	must(conn.Exec(ctx, "DROP TABLE IF EXISTS clients_go"))
	must(conn.Exec(ctx, "CREATE TABLE clients_go ("+columns+") ENGINE = MergeTree ORDER BY n"))
	tokyo, newYork := value(time.LoadLocation("Asia/Tokyo")), value(time.LoadLocation("America/New_York"))
	huge := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1))
	low := new(big.Int).Neg(new(big.Int).Lsh(big.NewInt(1), 127))
	word := "gate"
	want := []any{
		uint64(1<<64 - 1), "naïve\t'quoted'\n", "vip", &word, (*int64)(nil), huge, low,
		decimal.RequireFromString("-1234567.8912"),
		time.Date(2024, 2, 29, 23, 59, 59, 999_000_000, tokyo), time.Date(2024, 7, 1, 12, 0, 0, 0, newYork),
		time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC), uuid.MustParse("0190163d-8694-739b-aea5-966c26f8ad90"),
		netip.MustParseAddr("192.0.2.1"), true, 0.1, []string{"x", "", "z"}, map[string]uint64{"a": 1}, []any{"left", int32(-7)},
	}
	batch := value(conn.PrepareBatch(ctx, "INSERT INTO clients_go"))
	must(batch.Append(want...))
	must(batch.Send())
	found := value(conn.Query(ctx, "SELECT * FROM clients_go"))
	defer found.Close()
	targets := make([]any, len(want))
	for i, column := range found.ColumnTypes() {
		targets[i] = reflect.New(column.ScanType()).Interface()
	}
	if !found.Next() {
		log.Fatal("no row", found.Err())
	}
	must(found.Scan(targets...))
	for i, target := range targets {
		same(found.Columns()[i], reflect.ValueOf(target).Elem().Interface(), want[i])
	}
}

func same(name string, got, want any) {
	if text, wanted := plain(got), plain(want); text != wanted {
		log.Fatalf("column %s: got %s, want %s", name, text, wanted)
	}
}

// plain writes values of different Go types alike: clickhouse-go picks the types.
func plain(v any) string {
	switch typed := v.(type) {
	case time.Time:
		return typed.Format(time.RFC3339Nano)
	case big.Int:
		return typed.String()
	case *big.Int:
		return typed.String()
	case fmt.Stringer:
		return typed.String()
	}
	if value := reflect.ValueOf(v); value.Kind() == reflect.Pointer && !value.IsNil() {
		return plain(value.Elem().Interface())
	}
	return fmt.Sprint(v)
}

// stream writes and reads many rows.
func stream(ctx context.Context, conn clickhouse.Conn) {
	must(conn.Exec(ctx, "CREATE OR REPLACE TABLE clients_go_many (n UInt64, s String) ENGINE = MergeTree ORDER BY n"))
	batch := value(conn.PrepareBatch(ctx, "INSERT INTO clients_go_many"))
	for n := range uint64(rows) {
		must(batch.Append(n, fmt.Sprint("row ", n)))
	}
	must(batch.Send())
	found := value(conn.Query(ctx, "SELECT n, s FROM clients_go_many ORDER BY n"))
	defer found.Close()
	count := uint64(0)
	for found.Next() {
		var n uint64
		var s string
		must(found.Scan(&n, &s))
		equal([]any{n, s}, []any{count, fmt.Sprint("row ", count)})
		count++
	}
	must(found.Err())
	equal(count, uint64(rows))
}

func cancel(ctx context.Context, conn clickhouse.Conn) {
	short, stop := context.WithTimeout(ctx, 500*time.Millisecond)
	defer stop()
	err := conn.Exec(short, "SELECT sleepEachRow(1) FROM numbers(20) SETTINGS max_block_size = 1")
	equal(errors.Is(err, context.DeadlineExceeded), true)
}

// session keeps a temporary table from one statement to the next.
func session(ctx context.Context) {
	chosen := writer(clickhouse.CompressionNone)
	chosen.Settings["session_id"] = "clients-go"
	chosen.MaxOpenConns = 1
	conn := value(clickhouse.Open(chosen))
	must(conn.Exec(ctx, "CREATE TEMPORARY TABLE mine (x UInt8)"))
	must(conn.Exec(ctx, "INSERT INTO mine VALUES (1), (2)"))
	var sum uint64
	must(conn.QueryRow(ctx, "SELECT sum(x) FROM mine").Scan(&sum))
	equal(sum, uint64(3))
	must(conn.Close())
}

// standard goes by Go's own interface to databases.
func standard(ctx context.Context) {
	db := clickhouse.OpenDB(writer(clickhouse.CompressionLZ4))
	must(db.PingContext(ctx))
	value(db.ExecContext(ctx, "CREATE OR REPLACE TABLE clients_go_std (n UInt8, s String) ENGINE = MergeTree ORDER BY n"))
	scope := value(db.BeginTx(ctx, nil))
	statement := value(scope.PrepareContext(ctx, "INSERT INTO clients_go_std"))
	for n := range 3 {
		value(statement.ExecContext(ctx, uint8(n), fmt.Sprint(n)))
	}
	must(scope.Commit())
	var count uint64
	var last string
	query := "SELECT count(), max(s) FROM clients_go_std WHERE n >= {least:UInt8}"
	must(db.QueryRowContext(ctx, query, sql.Named("least", "1")).Scan(&count, &last))
	equal([]any{count, last}, []any{uint64(2), "2"})
	must(db.Close())
}

// denied shows that the reader reads, and no more.
func denied(ctx context.Context) {
	conn := value(clickhouse.Open(reader()))
	var n uint64
	must(conn.QueryRow(ctx, "SELECT n FROM clients_go").Scan(&n))
	equal(n, uint64(1<<64-1))
	equal(code(conn.Exec(ctx, "CREATE TABLE clients_go_no (n UInt8) ENGINE = Memory")), int32(497))
	equal(code(conn.Exec(ctx, "INSERT INTO clients_go_std VALUES (9, '9')")), int32(497))
	must(conn.Close())
}

func main() {
	log.SetFlags(0)
	ctx, columns := context.Background(), string(value(os.ReadFile(os.Args[1])))
	conn := value(clickhouse.Open(writer(clickhouse.CompressionLZ4)))
	must(conn.Ping(ctx))
	fmt.Println("ok ping")
	types(ctx, conn, columns)
	fmt.Println("ok types")
	for name, method := range map[string]clickhouse.CompressionMethod{
		"none": clickhouse.CompressionNone, "lz4": clickhouse.CompressionLZ4,
		"zstd": clickhouse.CompressionZSTD, "gzip": clickhouse.CompressionGZIP,
	} {
		packed := value(clickhouse.Open(writer(method)))
		stream(ctx, packed)
		must(packed.Close())
		fmt.Println("ok stream", name)
	}
	equal(code(conn.Exec(ctx, "SELECT * FROM nowhere")), int32(60))
	fmt.Println("ok error")
	var text string
	named := clickhouse.Context(ctx, clickhouse.WithParameters(clickhouse.Parameters{"name": "O'Hara é"}))
	must(conn.QueryRow(named, "SELECT {name:String}").Scan(&text))
	equal(text, "O'Hara é")
	fmt.Println("ok parameters")
	cancel(ctx, conn)
	fmt.Println("ok cancel")
	session(ctx)
	fmt.Println("ok session")
	standard(ctx)
	fmt.Println("ok standard")
	denied(ctx)
	fmt.Println("ok reader")
}
