"""What a service calls: two lines, and its events are on their way.

In: events as the service knows them.
Out: records on `events.<family>`, directly or by a collector, at least once and in order for each user; repeats keep their id.
Never: an exception in the host unless `strict`, a call that blocks longer than `max_block_s`, or a raw id on Kafka.
"""

import atexit
import errno
import hashlib
import os
import time
import weakref
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from os import getpid
from pathlib import Path
from typing import Any

from footlights.business import BusinessEvents, problem_with
from footlights.checks import checked_name
from footlights.defaults import default_folder, default_spool, enabled_by_environment, usable
from footlights.lines import Line
from footlights.native import Held, waited
from footlights.outcome import DISABLED, LOG, OPTED_OUT, SPOOLED, Money, Outcome, Refusal
from footlights.process_state import ProcessState, Way, new_spool
from footlights.processes import ProcessLock, at_end_of_child, is_about_to_fork, threads_run_late
from footlights.pseudonyms import Pseudonymiser
from footlights.records import ARGUMENTS, CONTEXT, Encoded, Told
from footlights.refusals import CONSENT_CHANGED
from footlights.relay import OnDelivery, Relay
from footlights.spool import Limits, Spool
from footlights.wires import wire_of
from footlights.written import SchemaUnavailable

#: Wait of a process that ends: what is left stays in the spool for the next one.
EXIT_FLUSH_S = 3.0
#: Longest wait of a fork for the connections of a client that has just started.
FORK_WAIT_S = 1.0
_CLIENTS: "weakref.WeakSet[Client]" = weakref.WeakSet()
_OPEN: "set[Client]" = set()  # clients with something to flush: they live until they are closed
_CHANGING = ProcessLock()


class Client(BusinessEvents):
    """A connection of one service to the platform; one for the whole process, from any thread.

    Parameters
    ----------
    bootstrap_servers, schema_registry
        Addresses of Kafka (`host:port`) and of the schema registry (URL).
    source
        Name of the service, as the ledger shows it; with a collector its key decides that.
    collector, api_key
        Instead of those two the URL of a collector and a write key. It makes the pseudonyms: raw ids lie in the spool and go to it.
    tenant_id
        Tenant that the events belong to.
    pseudonymiser, pseudonym_key
        What makes pseudonyms, or the key of the default HMAC-SHA-256; all services of a platform share it.
    strict
        Raise Refusal instead of answering with it; for tests and development.
    max_block_s
        Longest wait of a call, seconds: for room in the spool, and for the registry when a schema is first needed.
    obey_consents
        Follow the topic of consents, on a thread: events of people who opted out are dropped (`opted_out`), counted, and not an
        error. The platform withholds them in any case.
    scrub
        Redact card numbers, e-mail, IBAN, IP, phone numbers and secrets in fields and properties; `redacted` counts them.
    spool_dir
        Where events wait until Kafka has them. Processes of one service share it: each has a folder of its own in it, and
        takes over what a dead one left. By default in the user's state folder, one for each service and broker.
    spool_max_bytes, spool_max_age_s
        A process refuses events (SPOOL_FULL) when so much waits, or when Kafka has acknowledged nothing for so long.
    spool_sync_s
        Seconds between two fsyncs: what power loss can cost, a crash or SIGKILL costs nothing. 0: before each call returns.
    queue_max_messages
        Records handed to librdkafka at once; all others stay in the spool.
    on_delivery
        Called with (record, None) after Kafka's acknowledgement, or (record, error name), on a thread of the client.
    enabled
        False makes every call do nothing; by default ANALYTICS_ENABLED decides.
    """

    def __init__(
        self,
        *,
        bootstrap_servers: str = "",
        schema_registry: str = "",
        source: str = "",
        collector: str = "",
        api_key: str = "",
        tenant_id: str = "default",
        pseudonymiser: Pseudonymiser | None = None,
        pseudonym_key: str | bytes | None = None,
        strict: bool = False,
        scrub: bool = False,
        obey_consents: bool = True,
        max_block_s: float = 1.0,
        spool_dir: str | Path | None = None,
        spool_max_bytes: int = 1 << 30,
        spool_max_age_s: float = 7 * 86_400.0,
        spool_sync_s: float = 1.0,
        queue_max_messages: int = 100_000,
        on_delivery: OnDelivery | None = None,
        enabled: bool | None = None,
        cache_dir: str | Path | None = None,
        kafka_config: dict[str, Any] | None = None,
    ) -> None:
        self._source = checked_name("source", source or ("http" if collector else ""))
        self._tenant_id = checked_name("tenant_id", tenant_id)
        self._strict, self._max_block_s, self._on_delivery = strict, max_block_s, on_delivery
        self.enabled = enabled_by_environment() if enabled is None else enabled
        folder = Path(cache_dir) if cache_dir else usable(default_folder())
        self._wire = wire_of(
            bootstrap_servers=bootstrap_servers, schema_registry=schema_registry, collector=collector, api_key=api_key,
            pseudonymiser=pseudonymiser, pseudonym_key=pseudonym_key, kafka_config=kafka_config,
            queue_max_messages=queue_max_messages, cache=folder, timeout_s=max_block_s,
        )  # fmt: skip
        self._limits, self._sync_s = Limits(spool_max_bytes, spool_max_age_s), spool_sync_s
        home = folder / "spool" if cache_dir else default_spool()
        place = "\n".join((bootstrap_servers or collector, self._tenant_id, self._source))
        root = Path(spool_dir) if spool_dir else home / hashlib.sha256(place.encode()).hexdigest()[:16]
        self._root = root / self._wire.folder
        self._scrub, self._obey_consents = scrub, obey_consents
        self._state = self._new_state()
        _CLIENTS.add(self)

    def track(
        self,
        event_name: str,
        *,
        user_id: str | int | None = None,
        anonymous_id: str | int | None = None,
        amount: Money | None = None,
        properties: Mapping[str, Any] | None = None,
        occurred_at: datetime | int | None = None,
        session_id: str | int | None = None,
        context: Mapping[str, str | None] | None = None,
        automatic: bool = False,
        message_id: str | None = None,
        original_id: str | None = None,
        sent_at_ms: int | None = None,
        received_at_ms: int | None = None,
        **fields: Any,
    ) -> Outcome:
        """Take an event: `spooled` means that it is in the spool, where a crash of the process does not reach it.

        Fields of the event's family (see the table of event names) fill columns; all others become properties. Ids may be raw,
        they leave the process as pseudonyms only. `occurred_at` is an aware datetime or epoch milliseconds, by default now.
        `message_id` must be a UUIDv7; repeats of one id count once.

        Returns
        -------
        Outcome
            True when taken. Reasons of a refusal: INVALID_NAME, INVALID_ID, INVALID_TIME, NAIVE_DATETIME, INVALID_FIELD,
            INVALID_PROPERTY, RESERVED_NAME, EVENT_TOO_LARGE, SPOOL_FULL, SPOOL_FAILED, UNAVAILABLE, CLOSED, INTERNAL.
        """
        return self._take(
            event_name,
            (user_id, anonymous_id, session_id, amount, properties, occurred_at, context, automatic, message_id, sent_at_ms,
             received_at_ms, original_id, fields),
        )  # fmt: skip

    def check(self, event_name: str, **values: Any) -> Outcome:
        """What `track` would answer to these arguments, short of the spool: nothing is taken and no refusal counted."""
        told: Any = (*[values.pop(name, None) for name in ARGUMENTS], values)
        return self._take(event_name, told, keep=False)

    def _take(self, event_name: str, told: Told, *, keep: bool = True) -> Outcome:
        if not self.enabled:
            return Outcome(DISABLED)
        try:
            while True:  # again, when the way was left meanwhile: by a fork or before one
                state = self._state if self._state.pid == getpid() else self._of_this_process()
                way = state.way or waited(partial(self._open, state))
                encoded = way.recorder.encode(event_name, told)
                if encoded.key in state.refusals.keys and event_name != CONSENT_CHANGED:
                    state.refused["OPTED_OUT"] += keep
                    return Outcome(OPTED_OUT, "OPTED_OUT", "the person opted out of analytics")
                if not keep or state.append(way, encoded):
                    break
            if keep and event_name == CONSENT_CHANGED:
                self._consent(state, way, encoded, told[-1].get("analytics_allowed"))
        except Refusal as refusal:
            return self._refuse(refusal, keep=keep)
        except SchemaUnavailable as problem:
            return self._refuse(Refusal("UNAVAILABLE", str(problem)), keep=keep)
        except OSError as problem:
            reason = "SPOOL_FULL" if problem.errno in (errno.ENOSPC, errno.EDQUOT) else "SPOOL_FAILED"
            detail = f"the spool cannot be written: {problem.strerror or problem}"
            return self._refuse(Refusal(reason, detail), problem, keep=keep)
        except Exception as problem:  # the edge of the SDK: whatever it is, the host goes on
            return self._refuse(Refusal("INTERNAL", type(problem).__name__), problem, keep=keep)
        return tuple.__new__(Outcome, (SPOOLED, "", "", encoded.message_id))  # in half its constructor's time

    def _business(self, event_name: str, values: Mapping[str, Any]) -> Outcome:
        if self.enabled and (problem := problem_with(event_name, values)):
            return self._refuse(problem)
        return self.track(event_name, **values)

    def alias(self, user_id: str | int, previous_id: str | int, **more: Any) -> Outcome:
        """Say that two ids are one person: `previous_id`, e.g. of the visitor before the login, belongs to `user_id`."""
        return self.track("identity_linked", user_id=user_id, anonymous_id=previous_id, automatic=True, **more)

    def unalias(self, user_id: str | int, previous_id: str | int, **more: Any) -> Outcome:
        """Take an `alias` back: from now on the two ids are two people again, in every figure that is asked."""
        return self.track("identity_unlinked", user_id=user_id, anonymous_id=previous_id, automatic=True, **more)

    def identify(self, user_id: str | int, traits: Mapping[str, Any] | None = None, **more: Any) -> Outcome:
        """Say what is known of a user: an account record `profile_updated` whose properties are the traits."""
        return self.track("profile_updated", user_id=user_id, properties=traits, **more)

    def page(
        self, path: str, *, url: str | None = None, title: str | None = None, referrer: str | None = None, **more: Any
    ) -> Outcome:
        """Take a page view."""
        return self.track("page_view", path=path, url=url, title=title, referrer=referrer, **more)

    def feedback(
        self, *, rating: int | None = None, text: str | None = None, nps: int | None = None, **more: Any
    ) -> Outcome:
        """Take a rating (1 to 5), a comment or an answer to "would you recommend" (0 to 10)."""
        return self.track("feedback_given", rating=rating, text=text, nps=nps, **more)

    def performance(self, component: str, operation: str, response_time_ms: int | None = None, **more: Any) -> Outcome:
        """Take a timed operation; `status`, `memory_mb` and `error` may follow."""
        return self.track(
            "operation_timed", component=component, operation=operation, response_time_ms=response_time_ms, **more
        )

    def flush(self, timeout: float = 10.0) -> int:
        """Wait for the acknowledgements; returns how many events still wait."""
        state = self._of_this_process()
        return (state.relay.flush(timeout) if state.relay else 0) + state.still_left

    def take_over(self, timeout: float = 10.0) -> int:
        """Send what dead processes left in the spool, without waiting for an event; returns how many are not done yet.

        A client that tracks does it by itself, every few seconds.

        Raises
        ------
        Refusal
            CLOSED.
        """
        state = self._of_this_process()
        relay = (state.way or waited(partial(self._open, state))).relay
        return relay.take_over(timeout) if relay else state.still_left

    def close(self, timeout: float = 10.0) -> int:
        """Flush, report and end; returns how many events stay in the spool for a later process. Later calls answer CLOSED."""
        return waited(partial(self._close, timeout))

    def _close(self, timeout: float) -> int:
        state = self._of_this_process()
        with Held(state.lock):
            state.closed, relay, state.way = True, state.relay, None
        _OPEN.discard(self)
        left = relay.close(timeout) if relay else 0
        state.refusals.stop()
        self._wire.close()
        return left + state.still_left

    def __enter__(self) -> "Client":
        """Use the client in a `with` block."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close at the end of the block."""
        self.close()

    @property
    def producer_id(self) -> str | None:
        """Id of this process in the ledger, None before the first event."""
        way = self._of_this_process().way
        return way.spool.producer_id if way else None

    @property
    def source(self) -> str:
        """Name of the service."""
        return self._source

    @property
    def refused(self) -> Mapping[str, int]:
        """Refused events of this process by reason, those of people who opted out among them."""
        return dict(self._of_this_process().refused)

    @property
    def redacted(self) -> Mapping[str, int]:
        """What the scrubber has redacted in this process, by kind."""
        return dict(self._of_this_process().redacted)

    @property
    def waiting(self) -> int:
        """Events of this process that Kafka has not acknowledged."""
        return self._of_this_process().waiting

    def _new_state(self) -> ProcessState:
        return ProcessState(
            self._wire.refusals(), limits=self._limits, max_block_s=self._max_block_s, sync=not self._sync_s
        )

    def _of_this_process(self) -> ProcessState:
        """What this process holds; a child that was forked without a word makes it now."""
        if self._state.pid != getpid():
            with _CHANGING.held():
                if self._state.pid != getpid():  # no other thread has
                    self._state.abandon()
                    _OPEN.discard(self)
                    self._state = self._new_state()
        return self._state

    def _open(self, state: ProcessState) -> Way:
        with Held(state.lock):
            if state.closed:
                raise Refusal("CLOSED", "the client is closed")
            if state.way is None:
                self._root, spool = new_spool(self._root, self._source, self._tenant_id)
                try:
                    relay = None if is_about_to_fork() else self._new_relay(spool, state)
                    recorder = self._wire.recorder(
                        tenant_id=self._tenant_id, source=self._source, producer_id=spool.producer_id,
                        redacted=state.redacted if self._scrub else None,
                    )  # fmt: skip
                except BaseException:
                    spool.close(remove=True)  # nothing is in it, and the next call makes another
                    raise
                state.way = Way(recorder, spool, relay)
                if relay:
                    _OPEN.add(self)
                    at_end_of_child(partial(self.close, EXIT_FLUSH_S))
                    if self._obey_consents:
                        state.refusals.start()
            return state.way

    def _new_relay(self, spool: Spool, state: ProcessState) -> Relay:
        late = threads_run_late()
        if late:
            LOG.warning("uWSGI runs without enable-threads: what is not sent with a request waits for the next one")
        relay = Relay(self._root, self._wire, on_delivery=self._on_delivery, sync_every_s=self._sync_s, helped=late)
        relay.add(spool, state.refused)
        return relay

    def _consent(self, state: ProcessState, way: Way, encoded: Encoded | Line, allowed: object) -> None:
        if isinstance(allowed, bool):
            if self._obey_consents:
                state.refusals.say(encoded.key, encoded.message_id, allowed=allowed)
            if way.relay:
                way.relay.consent(encoded.key, encoded.message_id, allowed=allowed)

    def _refuse(self, refusal: Refusal, cause: BaseException | None = None, *, keep: bool = True) -> Outcome:
        if keep:
            self._of_this_process().refused[refusal.reason] += 1
        if self._strict:
            raise refusal from cause
        return Outcome("refused", refusal.reason, refusal.detail)

    def _sync(self) -> None:  # OSError when the disk does not take it
        if relay := self._of_this_process().relay:
            waited(relay.sync)

    def _before_fork(self, deadline: float) -> None:
        state = self._state
        if state.relay and state.pid == getpid():
            state.relay.settle(deadline)
            state.refusals.settle(deadline)


def _before_fork() -> None:
    # The C library's lookup of addresses holds a lock that no child is freed of (glibc's check_pf): a child that is forked while a
    # thread connects could not connect itself. Connections are made once, so a fork waits for those that are being made.
    deadline = time.monotonic() + FORK_WAIT_S
    for client in list(_CLIENTS):
        client._before_fork(deadline)


def _after_fork_in_child() -> None:
    for client in list(_CLIENTS):
        client._of_this_process()


def _close_all() -> None:
    for client in list(_CLIENTS):
        client._close(EXIT_FLUSH_S)  # nobody is held up any more


os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)
atexit.register(_close_all)

__all__ = ["CONTEXT", "Client"]
