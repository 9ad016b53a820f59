// @clickhouse/client: reads and writes.
//
// In: the store's address and users from the environment, the columns of a table as the first argument.
// Out: a line `ok NAME` for each check.
// Never: a check that is passed over.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { Readable } from "node:stream";

import { ClickHouseError, ClickHouseLogLevel, createClient } from "@clickhouse/client";

const ROWS = 100_000;
const { STORE_URL, STORE_WRITER, STORE_WRITER_PASSWORD, STORE_READER } = process.env;

function connect(username, password, options = {}) {
  return createClient({ url: STORE_URL, username, password, log: { level: ClickHouseLogLevel.OFF }, ...options });
}

const writer = (options) => connect(STORE_WRITER, STORE_WRITER_PASSWORD, options);

async function rowsOf(client, query, options = {}) {
  const result = await client.query({ query, format: "JSONEachRow", ...options });
  return result.json();
}

async function refusal(promise) {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof ClickHouseError, `${error}`);
    return error.type;
  }
  throw new Error("not refused");
}

async function types(client, columns) {
  await client.command({ query: `CREATE OR REPLACE TABLE clients_node (${columns}) ENGINE = MergeTree ORDER BY n` });
  const row = {
    n: "18446744073709551615",
    text: "naïve\t'quoted'\n",
    word: "vip",
    word_or_null: "gate",
    number: null,
    huge: "115792089237316195423570985008687907853269984665640564039457584007913129639935",
    low: "-170141183460469231731687303715884105728",
    price: "-1234567.8912",
    at: "2024-02-29 23:59:59.999",
    second: "2024-07-01 12:00:00",
    day: "2026-11-25",
    id: "0190163d-8694-739b-aea5-966c26f8ad90",
    address: "192.0.2.1",
    flag: true,
    ratio: 0.1,
    tags: ["x", "", "z"],
    counts: { a: "1" },
    pair: { 1: "left", 2: -7 },
  };
  const sent = { ...row, pair: ["left", -7] };
  await client.insert({ table: "clients_node", values: [sent], format: "JSONEachRow" });
  const settings = {
    output_format_json_quote_64bit_integers: 1,
    output_format_json_quote_decimals: 1,
    output_format_json_named_tuples_as_objects: 0,
  };
  const [found] = await rowsOf(client, "SELECT * FROM clients_node", { clickhouse_settings: settings });
  assert.deepEqual(found, sent);
  const seconds = "SELECT toUnixTimestamp64Milli(at) AS at, toUnixTimestamp(second) AS second FROM clients_node";
  assert.deepEqual(await rowsOf(client, seconds, { clickhouse_settings: settings }), [
    { at: String(Date.parse("2024-02-29T23:59:59.999+09:00")), second: Date.parse("2024-07-01T12:00:00-04:00") / 1000 },
  ]);
}

async function stream(client) {
  await client.command({
    query: "CREATE OR REPLACE TABLE clients_node_many (n UInt64, s String) ENGINE = MergeTree ORDER BY n",
  });
  function* rows() {
    for (let n = 0; n < ROWS; n++) yield { n, s: `row ${n}` };
  }
  const values = Readable.from(rows(), { objectMode: true });
  const { summary } = await client.insert({ table: "clients_node_many", values, format: "JSONEachRow" });
  assert.equal(summary?.written_rows, String(ROWS));
  let count = 0;
  const result = await client.query({
    query: "SELECT toUInt32(n) AS n, s FROM clients_node_many ORDER BY n",
    format: "JSONCompactEachRow",
  });
  for await (const rows of result.stream()) {
    for (const row of rows) assert.deepEqual(row.json(), [count, `row ${count++}`]);
  }
  assert.equal(count, ROWS);
  await client.insert({ table: "clients_node_many", values: Readable.from([]), format: "JSONEachRow" });
}

async function cancel(client) {
  const abort = new AbortController();
  setTimeout(() => abort.abort(), 500);
  const slow = "SELECT sum(sleepEachRow(0.5)) FROM numbers(60) SETTINGS max_block_size = 1";
  const query_id = randomUUID();
  await assert.rejects(client.query({ query: slow, query_id, abort_signal: abort.signal }));
  const query = "SELECT query_id FROM system.processes WHERE query_id = {id: String}";
  for (let tries = 0; (await rowsOf(client, query, { query_params: { id: query_id } })).length > 0; tries++) {
    assert.ok(tries < 100, "the query still runs");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function progress(client) {
  const result = await client.query({
    query: "SELECT number, sleepEachRow(0.1) FROM numbers(10) SETTINGS max_block_size = 1",
    format: "JSONEachRow",
    clickhouse_settings: { send_progress_in_http_headers: 1, http_headers_progress_interval_ms: "100" },
  });
  assert.equal((await result.json()).length, 10);
  assert.ok(result.response_headers["x-clickhouse-progress"]);
}

async function session() {
  const client = writer({ session_id: "clients-node", max_open_connections: 1 });
  await client.command({ query: "CREATE TEMPORARY TABLE mine (x UInt8)" });
  await client.insert({ table: "mine", values: [{ x: 1 }, { x: 2 }], format: "JSONEachRow" });
  assert.deepEqual(await rowsOf(client, "SELECT toUInt8(sum(x)) AS sum FROM mine"), [{ sum: 3 }]);
  await client.close();
}

async function reader() {
  const client = connect(STORE_READER, "", {
    clickhouse_settings: { max_execution_time: 600, result_overflow_mode: "break", max_result_rows: "5", async_insert: 1 },
  });
  const rows = await rowsOf(client, "SELECT s FROM clients_node_many ORDER BY n LIMIT 2");
  assert.deepEqual(rows, [{ s: "row 0" }, { s: "row 1" }]);
  const create = "CREATE TABLE clients_node_no (n UInt8) ENGINE = Memory";
  assert.equal(await refusal(client.command({ query: create })), "ACCESS_DENIED");
  const values = [{ n: 1, s: "a" }];
  assert.equal(
    await refusal(client.insert({ table: "clients_node_many", values, format: "JSONEachRow" })),
    "ACCESS_DENIED",
  );
  await client.close();
}

const client = writer();
assert.ok((await client.ping()).success);
assert.ok((await client.ping({ select: true })).success);
console.log("ok ping");
await types(client, readFileSync(process.argv[2], "utf8"));
console.log("ok types");
for (const packed of [false, true]) {
  const chosen = writer({ compression: { request: packed, response: packed } });
  await stream(chosen);
  await chosen.close();
  console.log(`ok stream ${packed}`);
}
assert.equal(await refusal(client.query({ query: "SELECT * FROM nowhere" })), "UNKNOWN_TABLE");
console.log("ok error");
const named = { query_params: { name: "O'Hara é", list: [1, 2] } };
assert.deepEqual(await rowsOf(client, "SELECT {name: String} AS name, {list: Array(UInt8)} AS list", named), [
  { name: "O'Hara é", list: [1, 2] },
]);
console.log("ok parameters");
await cancel(client);
console.log("ok cancel");
await progress(client);
console.log("ok progress");
await session();
console.log("ok session");
await reader();
console.log("ok reader");
await client.close();
