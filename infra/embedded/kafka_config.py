"""The configuration of the one-node broker.

In: its folders and ports.
Out: server.properties and log4j2.properties as text.
Never: an address other than loopback.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class NodePorts:
    """Ports of clients and of the controller; both on loopback."""

    broker: int
    controller: int


def server_properties(ports: NodePorts) -> str:
    """Return server.properties for a node whose data lie in `data`, beneath its working folder.

    A name that begins at the root would have to be escaped, and one with a comma could not be: Kafka takes it for two folders.
    """
    return f"""\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{ports.controller}
listeners=PLAINTEXT://127.0.0.1:{ports.broker},CONTROLLER://127.0.0.1:{ports.controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{ports.broker}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=data

# One node: every internal topic has one replica, and few partitions, since each costs file handles and start time.
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1

# A topic exists because it is declared; a misspelt name is an error, not a new topic.
auto.create.topics.enable=false
# Members of a group start within moments of each other; waiting for more only delays the first record.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000

# After SIGKILL the controller keeps the dead broker's session this long; with the default of 9 s the return takes 13 s.
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500

# Sizes for a small heap; the cleaner's default buffer alone takes 128 MiB of it.
num.network.threads=2
num.io.threads=4
num.recovery.threads.per.data.dir=2
background.threads=2
log.cleaner.enable=true
log.cleaner.threads=1
log.cleaner.dedupe.buffer.size=33554432
"""


def log_properties(log_file: str) -> str:
    """Return log4j2.properties: one rolling file of at most 4 x 10 MiB, its name as seen from the working folder."""
    return f"""\
status=error
appender.file.type=RollingFile
appender.file.name=file
appender.file.fileName={log_file}
appender.file.filePattern={log_file}.%i
appender.file.layout.type=PatternLayout
appender.file.layout.pattern=%d{{ISO8601}} %p %c{{1}} %m%n
appender.file.policies.type=Policies
appender.file.policies.size.type=SizeBasedTriggeringPolicy
appender.file.policies.size.size=10MB
appender.file.strategy.type=DefaultRolloverStrategy
appender.file.strategy.max=3
rootLogger.level=info
rootLogger.appenderRef.file.ref=file
logger.values.name=org.apache.kafka.common.config.AbstractConfig
logger.values.level=warn
"""
