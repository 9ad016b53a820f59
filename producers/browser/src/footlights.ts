// The browser snippet: page views, clicks on [data-track], web vitals, errors. It speaks Segment's batch shape to the collector.
// In: <script async src="footlights.min.js" data-endpoint="https://collect.example" data-key="flk_…" [data-consent="required"]>
// Out: window.footlights = {track, page, identify, consent, flush}
// Never: a form's value, a query string but utm_campaign, anything before consent where consent is required.

type Values = Record<string, unknown>;
type Call = Values & { type: string; messageId: string };

((window: any, document: Document, navigator: any) => {
  const script = document.currentScript as HTMLScriptElement | null;
  if (!script || window.footlights) return;
  const { endpoint = "", key = "", consent } = script.dataset;
  const LIMIT = 200;
  const id = (): string =>
    crypto.randomUUID ? crypto.randomUUID() : Date.now().toString(36) + Math.random().toString(36).slice(2);
  // A store that is closed (private windows, full disks) costs the offline queue, not the page.
  const store = (name: string, value?: unknown): any => {
    name = "fl_" + name;
    try {
      if (value === undefined) return JSON.parse(localStorage.getItem(name) || "null");
      value === null ? localStorage.removeItem(name) : localStorage.setItem(name, JSON.stringify(value));
    } catch (_) {}
    return null;
  };
  const refused = navigator.globalPrivacyControl || navigator.doNotTrack === "1";
  let allowed: boolean = !refused && (consent === "required" ? store("ok") === true : store("ok") !== false);
  let queue: Call[] = (allowed && store("queue")) || [];
  let anonymous = (allowed && store("id")) || id();
  let user: string | undefined;
  let session = id();
  let lost = 0;
  let sending = false;
  // The last event that is on its way: a beacon carries what came after it.
  let gone: Call | undefined;
  let wait = 0;
  let timer = 0;

  const clean = (url: string): string => url.split(/[?#]/)[0];
  const keep = (): void => {
    lost += Math.max(0, queue.length - LIMIT);
    queue = queue.slice(-LIMIT);
    store("queue", queue);
    store("id", anonymous);
  };
  const put = (type: string, more: Values): void => {
    if (!allowed) return;
    const campaign = new URLSearchParams(location.search).get("utm_campaign");
    queue.push({
      type, messageId: id(), anonymousId: anonymous, userId: user, timestamp: new Date().toISOString(),
      context: {
        sessionId: session, campaign: campaign ? { name: campaign } : undefined,
        page: { path: location.pathname, url: clean(location.href), title: document.title, referrer: clean(document.referrer) },
      },
      ...more,
    });
    keep();
    timer ||= window.setTimeout(send, 300);
  };
  const body = (batch: Call[]): string =>
    JSON.stringify({ writeKey: key, sentAt: new Date().toISOString(), batch, lost: lost || undefined });
  const url = endpoint + "/v1/batch";
  const send = async (): Promise<void> => {
    timer = 0;
    if (sending || !queue[0] || !allowed) return;
    sending = true;
    const batch = queue.slice(0, 50);
    let again = true;
    gone = batch.slice(-1)[0];
    try {
      // text/plain needs no preflight.
      const answer = await fetch(url, { method: "POST", body: body(batch), keepalive: true });
      again = answer.status === 429 || answer.status >= 500;
    } catch (_) {}
    sending = false;
    if (again) {
      // A page that is left cancels its requests; what a beacon carries meanwhile is no longer this batch's.
      if (batch.includes(gone!)) gone = undefined;
    } else {
      queue = queue.filter((event) => !batch.includes(event));
      keep();
    }
    wait = again ? Math.min(wait * 2 + 1000, 60000) : 0;
    if (queue[0]) timer ||= window.setTimeout(send, wait);
  };
  const track = (event: string, properties: Values = {}): void => put("track", { event, properties });
  const page = (properties: Values = {}): void => put("page", { properties });

  const here = (more: Values): Values => ({ component: "browser", operation: location.pathname, ...more });
  let vitals: Values = {};
  const leave = (): void => {
    if (vitals.response_time_ms) track("page_loaded", here(vitals));
    vitals = {};
    // What a beacon carried may still be lost, so that it stays in the queue: the same id counts once.
    const fresh = queue.slice(queue.indexOf(gone!) + 1).slice(-50);
    if (allowed && fresh[0] && navigator.sendBeacon(url, body(fresh))) gone = fresh.pop();
  };
  const watch = (type: string, see: (entry: any) => void): void => {
    try {
      new PerformanceObserver((list) => list.getEntries().forEach(see)).observe({
        type, buffered: true, durationThreshold: 40,
      } as PerformanceObserverInit);
    } catch (_) {}
  };
  watch("largest-contentful-paint", (entry) => (vitals.response_time_ms = Math.round(entry.startTime)));
  watch("layout-shift", (entry) => entry.hadRecentInput || (vitals.cls = Math.round((+(vitals.cls || 0) + entry.value) * 1e4) / 1e4));
  watch("event", (entry) => entry.interactionId && (vitals.inp_ms = Math.max(+(vitals.inp_ms || 0), Math.round(entry.duration))));

  const crash = (error: unknown): void =>
    track("crash", here({ error: (error as Error)?.name || "Error" }));
  addEventListener("error", (event) => crash(event.error));
  addEventListener("unhandledrejection", (event) => crash(event.reason));
  addEventListener("online", () => send());
  addEventListener("pagehide", leave);
  document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && leave());
  document.addEventListener("click", (event) => {
    const found = (event.target as Element)?.closest?.("[data-track]") as HTMLElement | null;
    if (!found) return;
    const properties: Values = {};
    for (const name in found.dataset)
      if (/^track./.test(name)) properties[name[5].toLowerCase() + name.slice(6)] = found.dataset[name];
    track(found.dataset.track!, properties);
  }, true);

  let path = "";
  const turned = (): void => {
    if (path !== (path = location.pathname)) page();
  };
  const push = history.pushState;
  history.pushState = function (...words: any) {
    push.apply(this, words);
    turned();
  };
  addEventListener("popstate", turned);

  window.footlights = {
    track, page, flush: send,
    identify(userId: string, traits: Values = {}): void {
      user = userId;
      put("identify", { traits });
    },
    consent(given: boolean): void {
      allowed = given && !refused;
      store("ok", given);
      if (allowed) return (path = ""), turned();
      queue = [];
      store("queue", null);
      store("id", null);
      anonymous = id();
    },
  };
  turned();
  send();
})(window, document, navigator);
