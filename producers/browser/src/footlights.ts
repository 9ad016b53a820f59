// The browser snippet: page views, clicks on [data-track], web vitals, errors. It speaks Segment's batch shape to the collector.
// In: <script async src="footlights.min.js" data-endpoint="https://collect.example" data-key="flk_…" [data-consent="required"]>
// Out: window.footlights = {track, page, identify, consent, flush}
// Never: a form's value, a query string but utm_campaign, anything before consent where consent is required.

type Values = Record<string, unknown>;
/** A call as it is sent, the key under which it waits in localStorage, and its size in UTF-8; `going` while a request carries it. */
type Item = { name: string; text: string; size: number; kept: boolean; going?: boolean };
type Result = { status: string; error?: string };
type Shift = PerformanceEntry & { hadRecentInput: boolean; value: number; interactionId?: number };
type Window_ = Window & { footlights?: unknown };
type Navigator_ = Navigator & { globalPrivacyControl?: boolean; locks?: LockManager };

((window: Window_, document: Document, navigator: Navigator_) => {
  const script = document.currentScript as HTMLScriptElement | null;
  if (!script || window.footlights) return;
  const { endpoint = "", key = "", consent } = script.dataset;
  // Items that wait at most, bytes that a browser surely takes from a page that ends (64 KiB for all its requests together), and
  // bytes that no collector takes: an event has 64 KiB there, and this is the JSON around it too.
  const LIMIT = 1000;
  const ROOM = 6e4;
  const LARGEST = 66560;
  const id = (): string =>
    crypto.randomUUID ? crypto.randomUUID() : Date.now().toString(36) + Math.random().toString(36).slice(2);
  // A store that is closed, full or none (private windows, frames, full disks) costs the offline queue, not the page.
  const disk = <T>(work: (store: Storage) => T): T | null => {
    try {
      return work(localStorage);
    } catch {
      return null;
    }
  };
  const read = (name: string): unknown => disk((store) => JSON.parse(store.getItem(name) || "null"));
  const write = (name: string, text: string): boolean => disk((store) => store.setItem(name, text)) !== null;
  const erase = (name: string): void => {
    disk((store) => store.removeItem(name));
  };
  const warn = (why = ""): void => console.warn(`footlights: an event was dropped: ${why}`);
  const refused = navigator.globalPrivacyControl || navigator.doNotTrack === "1";
  let allowed = !refused && (consent === "required" ? read("fl_ok") === true : read("fl_ok") !== false);
  // Each page keeps what it took under keys of its own, and a lock for as long as it lives. What lies under keys without a lock was
  // left by a page that is gone: whoever gets its lock sends it.
  let mine = "";
  let queue: Item[] = [];
  let number = 0;
  const known = allowed && read("fl_id");
  let anonymous = typeof known === "string" ? known : id();
  let user: string | undefined;
  const session = id();
  let lost = 0;
  let sending = false;
  let most = LIMIT;
  let wait = 0;
  let timer = 0;
  let releases: (() => void)[] = [];

  const clean = (url: string): string => url.split(/[?#]/)[0];
  const later = (ms: number): void => {
    if (!timer) timer = window.setTimeout(send, ms);
  };
  const drop = (item: Item): void => {
    queue = queue.filter((one) => one !== item);
    erase(item.name);
  };
  const add = (text: string, left?: string): void => {
    const item: Item = { name: left || `${mine}.${number++}`, text, size: new Blob([text]).size, kept: true };
    if (item.size > LARGEST) {
      warn("too large");
      return;
    }
    item.kept = !!left || write(item.name, text);
    queue.push(item);
    const oldest = queue.length > LIMIT && queue.find((one) => !one.going);
    if (oldest) {
      lost++;
      drop(oldest);
    }
    later(300);
  };
  const names = (start: string): string[] => (disk(Object.keys) || []).filter((name) => name.startsWith(start));
  const hold = (tab: string, work: () => void): void => {
    // Without locks (pages without TLS) two pages may send the same: under the same ids, which count once.
    if (!navigator.locks) {
      work();
      return;
    }
    const held = (lock: Lock | null): Promise<void> | undefined => {
      if (!lock) return;
      work();
      return new Promise((done) => releases.push(done));
    };
    navigator.locks.request(tab, { ifAvailable: true }, held).catch(work);
  };
  const adopt = (): void => {
    for (const tab of new Set(names("fl_q").map((name) => name.split(".")[0]))) {
      if (tab === mine || !allowed) continue;
      hold(tab, () => {
        for (const name of names(`${tab}.`)) {
          if (queue.some((item) => item.name === name)) continue;
          const text = disk((store) => store.getItem(name)) || "";
          try {
            if (JSON.parse(text).messageId) add(text, name);
            else erase(name);
          } catch {
            erase(name);
          }
        }
      });
    }
  };
  const live = (): void => {
    mine = `fl_q${id()}`;
    hold(mine, () => {});
    // Back from the browser's cache: what is in the store may be another page's by now.
    queue = queue.filter((item) => !item.kept);
    adopt();
    later(0);
  };
  const put = (type: string, more: Values): void => {
    if (!allowed) return;
    write("fl_id", JSON.stringify(anonymous));
    const campaign = new URLSearchParams(location.search).get("utm_campaign");
    let text: string;
    try {
      text = JSON.stringify({
        type,
        messageId: id(),
        anonymousId: anonymous,
        userId: user,
        timestamp: new Date().toISOString(),
        context: {
          sessionId: session,
          campaign: campaign ? { name: campaign } : undefined,
          page: { path: location.pathname, url: clean(location.href), title: document.title, referrer: clean(document.referrer) },
        },
        ...more,
      });
    } catch (error) {
      warn(String(error));
      return;
    }
    add(text);
  };
  /** What comes next: not more than fits, but always one. */
  const next = (room: number): Item[] => {
    const items: Item[] = [];
    for (const item of queue) {
      if (item.going) continue;
      room -= item.size + 1;
      if (items[0] && (room < 0 || items.length >= most)) break;
      items.push(item);
    }
    return items;
  };
  const size = (items: Item[]): number => items.reduce((sum, item) => sum + item.size + 1, 0);
  /** Sends a piece; resolves to the milliseconds after which to send more, -1 for "as with a connection that failed". */
  const post = async (items: Item[], keepalive: boolean): Promise<number> => {
    for (const item of items) item.going = true;
    let answer: Response | undefined;
    try {
      // text/plain needs no preflight.
      answer = await fetch(`${endpoint}/v1/batch`, {
        method: "POST",
        keepalive,
        signal: AbortSignal.timeout?.(6e4),
        body: `{"writeKey":${JSON.stringify(key)},"sentAt":"${new Date().toISOString()}","lost":${lost},"batch":[${items.map((item) => item.text)}]}`,
      });
    } catch {
      // A page that is left cancels its requests, though they may arrive: what it says last must not carry them again.
      await new Promise((done) => setTimeout(done, 1000));
    }
    for (const item of items) item.going = false;
    const status = answer?.status || 0;
    if (!answer || status === 408 || status === 429 || status > 499)
      return Math.min(+(answer?.headers.get("retry-after") || 0) * 1000, 3e5) || -1;
    if (items[1] && (status === 400 || status === 413 || status === 422)) {
      // One of them is not acceptable: it shall not take the others with it.
      most = items.length >> 1;
      return 0;
    }
    items.forEach(drop);
    if (status > 299) warn(`${items.length} × ${status}`);
    else {
      most = LIMIT;
      answer
        .json()
        .then((told) => {
          for (const one of told.data.results as Result[]) if (one.status === "drop") warn(one.error);
        })
        .catch(() => {});
    }
    return 0;
  };
  const send = async (): Promise<void> => {
    timer = 0;
    const items = next(ROOM);
    if (sending || !items[0] || !allowed) return;
    sending = true;
    // A refusal for want of room looks like a lost connection: the next attempt asks for no room.
    const pause = await post(items, !wait && size(items) <= ROOM);
    sending = false;
    wait = pause < 0 ? Math.min(wait * 2 + 500, 6e4) : pause;
    if (queue[0]) later(wait);
  };
  const track = (event: string, properties: Values = {}): void => put("track", { event, properties });
  const page = (properties: Values = {}): void => put("page", { properties });

  const here = (more: Values): Values => ({ component: "browser", operation: location.pathname, ...more });
  let vitals: Values = {};
  const leave = (): void => {
    if (vitals.response_time_ms) track("page_loaded", here(vitals));
    vitals = {};
    // What does not fit, and what nobody said that it arrived, stays in the store for the next page, under the same ids.
    const room = ROOM - size(queue.filter((item) => item.going));
    const items = next(room);
    if (allowed && items[0] && size(items) <= room) post(items, true).then(() => queue[0] && later(1000));
  };
  const watch = (type: string, see: (entry: Shift) => void): void => {
    try {
      new PerformanceObserver((list) => (list.getEntries() as Shift[]).forEach(see)).observe({
        type,
        buffered: true,
        durationThreshold: 40,
      } as PerformanceObserverInit);
    } catch {}
  };
  watch("largest-contentful-paint", (entry) => {
    vitals.response_time_ms = Math.round(entry.startTime);
  });
  watch("layout-shift", (entry) => {
    if (!entry.hadRecentInput) vitals.cls = Math.round((+(vitals.cls || 0) + entry.value) * 1e4) / 1e4;
  });
  watch("event", (entry) => {
    if (entry.interactionId) vitals.inp_ms = Math.max(+(vitals.inp_ms || 0), Math.round(entry.duration));
  });

  const crash = (error: unknown): void => track("crash", here({ error: (error as Error)?.name || "Error" }));
  addEventListener("error", (event) => crash(event.error));
  addEventListener("unhandledrejection", (event) => crash(event.reason));
  addEventListener("online", () => {
    wait = 0;
    adopt();
    send();
  });
  addEventListener("pagehide", () => {
    leave();
    for (const done of releases) done();
    releases = [];
  });
  addEventListener("pageshow", (event) => event.persisted && live());
  setInterval(adopt, 6e4);
  document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && leave());
  document.addEventListener(
    "click",
    (event) => {
      const found = (event.target as Element)?.closest?.<HTMLElement>("[data-track]");
      if (!found) return;
      const properties: Values = {};
      for (const name in found.dataset)
        if (/^track./.test(name)) properties[name[5].toLowerCase() + name.slice(6)] = found.dataset[name];
      track(found.dataset.track || "", properties);
    },
    true,
  );

  let path = "";
  const turned = (): void => {
    if (path === location.pathname) return;
    path = location.pathname;
    page();
  };
  const push = history.pushState;
  history.pushState = function (...words): void {
    push.apply(this, words);
    turned();
  };
  addEventListener("popstate", turned);

  window.footlights = {
    track,
    page,
    flush: send,
    identify(userId: string, traits: Values = {}): void {
      user = userId;
      put("identify", { traits });
    },
    consent(given: boolean): void {
      allowed = given && !refused;
      write("fl_ok", `${given}`);
      path = "";
      if (allowed) {
        turned();
        return;
      }
      queue = [];
      names("fl_q").concat("fl_id").forEach(erase);
      anonymous = id();
    },
  };
  live();
  turned();
})(window, document, navigator);
