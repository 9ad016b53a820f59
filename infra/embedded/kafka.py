"""Apache Kafka as a child process: KRaft, one node, on loopback.

In: a data folder, the locked jars, a Java.
Out: a broker at `bootstrap`, the same address after each restart with the same folder.
Never: an orphan (the JVM dies with its parent), nor a second format of a folder that holds data.
"""

import base64
import fcntl
import subprocess
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from infra.embedded.folders import check_folder
from infra.embedded.java import Java, find_java
from infra.embedded.java_archive import archive_options
from infra.embedded.kafka_config import NodePorts, log_properties, server_properties
from infra.embedded.ports import free_port, keep_port, kept_port
from infra.embedded.tether import tethered

_LOCK_WAIT_S = 5.0


class KafkaFailed(RuntimeError):
    """The broker did not start; the message says why, or ends with the last lines of its log."""


class KafkaServer:
    """One broker and its data folder.

    A supervisor uses `prepare`, `command` and `wait_ready` and owns the process; tests use `start`, `stop` and `kill`.

    Parameters
    ----------
    data_dir
        Holds the data, the configuration, the log and the ports; survives restarts.
    jars
        What `fetch_jars` returned.
    java
        A Java >= 17; by default the JRE of the Python environment.
    heap
        Limit of the JVM's heap, as `-Xmx` takes it.
    port
        Port for clients; by default a free one, kept in the folder.
    """

    def __init__(
        self,
        data_dir: Path,
        jars: Sequence[Path],
        *,
        java: str | Path | None = None,
        heap: str = "512m",
        port: int | None = None,
    ) -> None:
        self.folder = data_dir.resolve()
        self.log_file = self.folder / "kafka.log"
        self._properties = self.folder / "server.properties"
        self._log_properties = self.folder / "log4j2.properties"
        self._jars = jars
        self._named_java = java
        self._java: Java | None = None
        self._heap = heap
        self._asked_port = port
        self._ports: NodePorts | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """Address for clients, `host:port`; `prepare` must have run."""
        if self._ports is None:
            raise RuntimeError("the broker has no address before prepare()")
        return f"127.0.0.1:{self._ports.broker}"

    @property
    def pid(self) -> int | None:
        """Process id of the JVM that `start` started."""
        return self._process.pid if self._process else None

    def prepare(self) -> None:
        """Choose ports, write the configuration, and format the folder when it is new. Call before each start.

        Raises
        ------
        JavaUnavailable, KafkaFailed
            When there is no fitting Java; when another broker uses the folder, or the format fails.
        """
        check_folder(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._refuse_second_owner()
        self._java = find_java(self._named_java)
        self._ports = self._choose_ports()
        self._properties.write_text(server_properties(self._ports))
        self._log_properties.write_text(log_properties(self.log_file.name))
        # The format writes meta.properties last, so that a torn one is simply repeated.
        if not (self.folder / "data" / "meta.properties").exists():
            self._format()

    def command(self) -> list[str]:
        """Return the command that starts the broker, tied to the calling process; `prepare` must have run."""
        archive = archive_options(self._found_java(), self._jars)
        jvm = self._jvm(f"-Xmx{self._heap}", "-Xms128m", *archive)
        return tethered([*jvm, "kafka.Kafka", self._properties.name], self.folder)

    def wait_ready(self, timeout: float = 60.0, is_alive: Callable[[], bool] | None = None) -> None:
        """Return when the broker answers and every partition has a leader.

        Parameters
        ----------
        timeout
            Seconds.
        is_alive
            Says whether the process still runs, for a caller that started it itself.

        Raises
        ------
        KafkaFailed
            When the process ended, or at the timeout.
        """
        client = AdminClient(
            {
                "bootstrap.servers": self.bootstrap,
                "log_level": 0,
                "reconnect.backoff.ms": 50,
                "reconnect.backoff.max.ms": 200,
            }
        )
        deadline = time.monotonic() + timeout
        while not _answers(client):
            if not (is_alive or self._is_alive)():
                raise KafkaFailed(f"Apache Kafka ended while starting.\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise KafkaFailed(f"Apache Kafka was not ready after {timeout:.0f} s.\n{self.log_tail()}")
            time.sleep(0.05)

    def start(self, timeout: float = 60.0) -> None:
        """Prepare, start and wait until ready. Call it from the main thread: the broker dies with the calling thread."""
        self.prepare()
        with (self.folder / "kafka.out").open("ab") as output:
            self._process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        try:
            self.wait_ready(timeout)
        except KafkaFailed:
            self.kill()
            raise

    def stop(self, timeout: float = 20.0) -> None:
        """Ask the broker to end and wait; kill it at the timeout (seconds)."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        """End the broker with SIGKILL, as a crash would; acknowledged records survive."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def log_tail(self, lines: int = 20) -> str:
        """Return the last lines of the JVM's output and of the log, for an error message."""
        tails = []
        for file in (self.folder / "kafka.out", self.log_file):
            if file.exists():
                tails += file.read_text(errors="replace").splitlines()[-lines:]
        return "\n".join(tails)

    def _is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _refuse_second_owner(self) -> None:
        """Wait a little for a dying broker to let go of the folder; a living one is not disturbed.

        Kafka itself checks too, but only after it touched the folder: the first broker then hung at its shutdown.
        """
        deadline = time.monotonic() + _LOCK_WAIT_S
        while _is_locked(self.folder / "data" / ".lock"):
            if time.monotonic() > deadline:
                raise KafkaFailed(f"Another broker is using {self.folder}; stop it, or name another data folder.")
            time.sleep(0.05)

    def _choose_ports(self) -> NodePorts:
        port_file = self.folder / "port"
        if self._asked_port is None:
            broker = kept_port(port_file)
        else:
            broker = self._asked_port
            keep_port(port_file, broker)
        controller = kept_port(self.folder / "controller_port")
        while controller == broker:
            controller = free_port()
        return NodePorts(broker, controller)

    def _found_java(self) -> Java:
        if self._java is None:
            raise RuntimeError("the broker has no Java before prepare()")
        return self._java

    def _jvm(self, *options: str) -> list[str]:
        return [
            "env",
            "LC_ALL=C.UTF-8",  # whatever the locale is, the JVM must read the names of files as they are
            str(self._found_java().path.resolve()),
            *options,
            "-XX:+UseSerialGC",
            "-XX:+ExitOnOutOfMemoryError",
            f"-Dlog4j2.configurationFile={self._log_properties.name}",
            f"-Dfootlights.folder={self.folder}",  # for whoever looks at the list of processes
            "-Dlog4j2.disableJmx=true",
            "-cp",
            ":".join(str(jar.resolve()) for jar in self._jars),
        ]

    def _format(self) -> None:
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        archive = archive_options(self._found_java(), self._jars, written=False)
        tool = [*self._jvm("-Xmx128m", "-XX:TieredStopAtLevel=1", *archive), "kafka.tools.StorageTool", "format"]
        done = subprocess.run(
            [*tool, f"--cluster-id={cluster}", "-c", self._properties.name],
            cwd=self.folder, capture_output=True, encoding="utf-8", errors="replace", check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise KafkaFailed(f"Apache Kafka could not format {self.folder}.\n{done.stdout}{done.stderr}")


def _is_locked(file: Path) -> bool:
    """Whether another process holds the lock that a running broker holds. A stale file is no lock."""
    if not file.exists():
        return False
    with file.open("ab") as handle:
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def _answers(client: AdminClient) -> bool:
    try:
        metadata = client.list_topics(timeout=0.5)
    except KafkaException:
        return False
    leaders = [part.leader for topic in metadata.topics.values() for part in topic.partitions.values()]
    return bool(metadata.brokers) and all(leader != -1 for leader in leaders)
