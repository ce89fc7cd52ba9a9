// What the live page draws and tells: a moment a second from server-sent events, and the minutes
// before, with which they begin. A page that is hidden stops listening until it is seen again.
"use strict";
(() => {
  const COLUMNS_MAX = 300;
  const RANGE_SECONDS = 300;
  const QUIET_MS = 3500;
  const element = (id) => document.getElementById(id);
  const show = {
    curves: hotspur.curves(element("at")),
    times: hotspur.times(element("reading"), (value) => (value < 0 ? `−${Math.round(-value)} s` : "now")),
  };
  let [columns, moment, heard, isHeld] = [[], null, 0, false];
  // What is drawn: all that came, or what there was when the view was held.
  let [drawnColumns, drawn] = [[], null];

  const percent = (share) => (share * 100).toFixed(share < 0.0995 ? 1 : 0) + " %";

  function age(seconds) {
    if (seconds == null) return "unknown";
    if (seconds < 100) return hotspur.time(seconds * 1e9);
    const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
    return hours ? `${hours} h ${minutes} min` : `${minutes} min ${Math.floor(seconds % 60)} s`;
  }

  /** An element with text and others in it. */
  function made(tag, className, ...parts) {
    const it = document.createElement(tag);
    if (className) it.className = className;
    it.append(...parts);
    return it;
  }

  function row(name, ...cells) {
    const head = made("th", "", name);
    head.scope = "row";
    return made("tr", "", head, ...cells);
  }

  function state(className, text) {
    const place = element("state");
    if (place.textContent === text && place.className === className) return;
    [place.className, place.textContent] = [className, text];
  }

  function showState() {
    if (moment.reasons.length) state(moment.is_paused ? "note" : "doubt", moment.reasons.join(" · "));
    else state("good", isHeld ? "Live; the view is held" : "Live");
    element("uptime").textContent = "· up " + age(moment.uptime_seconds);
  }

  function showSpeed() {
    const rows = [];
    for (const span of drawn.spans.filter((it) => it.is_total)) {
      for (const [window, words] of [["last", "last second"], ["run", "whole run"]]) {
        const of = span[window];
        const values = ["p50", "p99", "p999", "max"].map((it) => (of.count ? hotspur.time(of[it]) : "–"));
        const name = made("span", "", span.name, made("small", "", words));
        rows.push(row(name, ...values.map((it) => made("td", "", it))));
      }
    }
    element("speeds").replaceChildren(...rows);
  }

  function showRate() {
    element("now-rate").textContent = hotspur.grouped(drawn.column.rate);
    const { polled, emitted, skipped, rejected, held } = drawn.records;
    const counts = [
      ["polled", polled], ["emitted", emitted], ["skipped", skipped], ["dead-lettered", rejected],
      ...(held ? [["held", held]] : []), ["in flight", drawn.in_flight.records],
    ];
    element("counts").replaceChildren(...counts.flatMap(([name, count]) => [
      made("dt", "", name), made("dd", "", hotspur.grouped(count)),
    ]));
  }

  function showDuty() {
    const shares = Object.entries(drawn.regimes).filter(([, share]) => share > 0);
    element("regimes").replaceChildren(...shares.map(([name, share]) => {
      const part = made("i", "of-" + name);
      part.style.width = `${share * 100}%`;
      return part;
    }));
    element("regime-names").replaceChildren(...shares.map(([name, share]) =>
      made("li", "", made("i", "of-" + name), `${name} ${percent(share)}`)));
    const { saturation } = drawn.column;
    element("saturation").textContent = `Saturation ${percent(saturation)}` +
      (saturation > 0.8 ? ": near 100 % records begin to wait" : "");
  }

  function showAges() {
    const lines = drawn.tables.map((it) => [
      it.is_fresh,
      `Table ${it.name}: ${hotspur.grouped(it.entries)} entries, age ${age(it.age_seconds)}` +
        (it.trouble ? `; ${it.trouble}` : ""),
    ]);
    const lag = drawn.lag ?? [];
    const sum = lag.reduce((all, it) => all + it.records, 0);
    if (lag.length) {
      const oldest = Math.max(...lag.map((it) => it.seconds));
      const of = lag.length > 1 ? `${lag.length} partitions` : "1 partition";
      lines.push([oldest < 10, `Lag: ${hotspur.grouped(sum)} records of ${of}` +
        (sum ? `, for ${age(oldest)}` : "")]);
    }
    const stalls = Object.entries(drawn.stalls);
    lines.push([!stalls.length, stalls.length
      ? "Stalls: " + stalls.map(([cause, count]) => `${hotspur.grouped(count)} ${cause}`).join(", ")
      : "No stall of the hot thread so far"]);
    element("ages").replaceChildren(...lines.map(([isGood, text]) =>
      made("li", isGood ? "good" : "note", made("span", "mark"), text)));
  }

  function showSlow() {
    const count = drawn.slow_records;
    element("slow-count").textContent = count
      ? `${hotspur.grouped(count)} of this run, ${percent(count / Math.max(drawn.records.polled, 1))} of its records.`
      : "None in this run.";
    element("slow-rows").replaceChildren(...drawn.slow.toReversed().map((it) => row(
      it.ts.slice(11, 23),
      made("td", "", hotspur.time(it.transit_ns)),
      made("td", "", `${it.slowest_stage} ${hotspur.time(it.stages[it.slowest_stage])}`),
      made("td", "words", `${it.topic}:${it.partition}:${it.offset}`),
      made("td", "words", `${it.cause}: ${it.verdict}`),
    )));
  }

  /** Totals, and the stages with the greatest medians, are shown at first. */
  function showCurves() {
    const window = element("window").value;
    const stages = drawn.spans.filter((it) => !it.is_total && !it.name.startsWith("backlog."));
    const most = stages.toSorted((a, b) => b.run.p50 - a.run.p50).slice(0, 3).map((it) => it.name);
    show.curves({
      nines: drawn.nines,
      series: drawn.spans.map((it) => ({
        name: it.name, total: it.is_total, shown: it.is_total || most.includes(it.name), now: it[window].curve,
      })),
    });
  }

  function showTimes() {
    const select = element("span");
    for (const { name } of drawn?.spans ?? []) {
      if (![...select.options].some((it) => it.value === name)) select.add(new Option(name));
    }
    const now = drawnColumns.length ? drawnColumns[drawnColumns.length - 1].at_ms : 0;
    const ago = (it) => (now - it.at_ms) / 1000;
    const recent = drawnColumns.filter((it) => ago(it) < RANGE_SECONDS);
    const oldest = recent.length ? ago(recent[0]) + recent[0].seconds : 0;
    const least = (nanos) => (nanos == null ? null : Math.max(nanos, 1));
    show.times(recent.map((it) => {
      const span = it.spans[select.value];
      return {
        from: -ago(it) - it.seconds,
        to: -ago(it),
        rate: it.rate,
        count: span?.count ?? 0,
        p50: least(span?.p50),
        p99: least(span?.p99),
        max: least(span?.max),
        heat: span?.heat ?? [],
      };
    }), [-60 * Math.min(Math.max(Math.ceil(oldest / 60), 1), RANGE_SECONDS / 60), 0]);
  }

  function showAll() {
    if (!moment) return;
    showState();
    if (isHeld) return;
    [drawnColumns, drawn] = [columns, moment];
    for (const part of [showSpeed, showRate, showDuty, showAges, showSlow, showCurves, showTimes]) part();
  }

  let source = null;

  function listen() {
    source?.close();
    heard = Date.now();
    source = new EventSource("/live/events");
    source.addEventListener("history", (event) => {
      columns = JSON.parse(event.data);
    });
    source.addEventListener("moment", (event) => {
      moment = JSON.parse(event.data);
      heard = Date.now();
      // One that was just completed may be the last of the history, too.
      const others = columns.filter((it) => it.at_ms !== moment.column.at_ms);
      columns = [...others, moment.column].slice(-COLUMNS_MAX);
      showAll();
    });
  }

  /** Where nothing comes, the reason is asked for: the hot thread may not have begun. */
  async function watchOver() {
    const isQuiet = () => !document.hidden && Date.now() - heard >= QUIET_MS;
    if (!isQuiet()) return;
    let answer = null;
    try {
      const response = await fetch("/readyz", { signal: AbortSignal.timeout(2000) });
      answer = { isReady: response.ok, text: (await response.text()).trim() };
    } catch {
      // Nobody answers, which is what is said below.
    }
    if (!isQuiet()) return;
    const since = new Date(heard).toLocaleTimeString();
    if (!answer) {
      state("doubt", `No word since ${since}: the run has ended, or cannot be reached; trying again`);
    } else if (answer.isReady) {
      state("doubt", `The run answers, but its hot thread has handed nothing over since ${since}`);
    } else {
      state("note", answer.text.replaceAll("\n", " · "));
    }
    if (source.readyState === EventSource.CLOSED) {
      const before = heard;
      listen();
      heard = before;
    }
  }

  element("hold").addEventListener("click", (event) => {
    isHeld = !isHeld;
    event.currentTarget.setAttribute("aria-pressed", isHeld);
    event.currentTarget.textContent = isHeld ? "Go on" : "Hold the view";
    showAll();
  });
  element("window").addEventListener("change", () => drawn && showCurves());
  element("span").addEventListener("change", showTimes);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) source?.close();
    else listen();
  });
  setInterval(watchOver, 1000);
  if (!document.hidden) listen();
})();
