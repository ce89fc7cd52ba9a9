// What the live page draws and tells: a moment a second from server-sent events, and the minutes
// before, with which they begin. While the page is hidden it does not listen.
"use strict";
(() => {
  const COLUMNS_MAX = 300;
  const QUIET_MS = 3500;
  const element = (id) => document.getElementById(id);
  const show = {
    curves: hotspur.curves(element("at")),
    times: hotspur.times(element("reading"), (value) => (value < 0 ? `−${Math.round(-value)} s` : "now")),
  };
  let [columns, moment, heard, isHeld] = [[], null, 0, false];

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
    for (const span of moment.spans.filter((it) => it.is_total)) {
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
    element("now-rate").textContent = hotspur.grouped(moment.column.rate);
    const { polled, emitted, skipped, rejected } = moment.records;
    const counts = [
      ["polled", polled], ["emitted", emitted], ["skipped", skipped], ["dead-lettered", rejected],
      ["in flight", moment.in_flight.records],
    ];
    element("counts").replaceChildren(...counts.flatMap(([name, count]) => [
      made("dt", "", name), made("dd", "", hotspur.grouped(count)),
    ]));
  }

  function showDuty() {
    const shares = Object.entries(moment.regimes).filter(([, share]) => share > 0);
    element("regimes").replaceChildren(...shares.map(([name, share]) => {
      const part = made("i", "of-" + name);
      part.style.width = `${share * 100}%`;
      return part;
    }));
    element("regime-names").replaceChildren(...shares.map(([name, share]) =>
      made("li", "", made("i", "of-" + name), `${name} ${percent(share)}`)));
    const { saturation } = moment.column;
    element("saturation").textContent = `Saturation ${percent(saturation)}` +
      (saturation > 0.8 ? ": near 100 % records begin to wait" : "");
  }

  function showAges() {
    const lines = moment.tables.map((it) => [
      it.is_fresh,
      `Table ${it.name}: ${hotspur.grouped(it.entries)} entries, age ${age(it.age_seconds)}` +
        (it.trouble ? `; ${it.trouble}` : ""),
    ]);
    const lag = moment.lag ?? [];
    const sum = lag.reduce((all, it) => all + it.records, 0);
    if (lag.length) {
      const oldest = Math.max(...lag.map((it) => it.seconds));
      const of = lag.length > 1 ? `${lag.length} partitions` : "1 partition";
      lines.push([oldest < 10, `Lag: ${hotspur.grouped(sum)} records of ${of}` +
        (sum ? `, for ${age(oldest)}` : "")]);
    }
    const stalls = Object.entries(moment.stalls);
    lines.push([!stalls.length, stalls.length
      ? "Stalls: " + stalls.map(([cause, count]) => `${hotspur.grouped(count)} ${cause}`).join(", ")
      : "No stall of the hot thread so far"]);
    element("ages").replaceChildren(...lines.map(([isGood, text]) =>
      made("li", isGood ? "good" : "note", made("span", "mark"), text)));
  }

  function showSlow() {
    const count = moment.slow_records;
    element("slow-count").textContent = count
      ? `${hotspur.grouped(count)} of this run, ${percent(count / Math.max(moment.records.polled, 1))} of its records.`
      : "None in this run.";
    element("slow-rows").replaceChildren(...moment.slow.toReversed().map((it) => row(
      it.ts.slice(11, 23),
      made("td", "", hotspur.time(it.transit_ns)),
      made("td", "", `${it.slowest_stage} ${hotspur.time(it.stages[it.slowest_stage])}`),
      made("td", "words", `${it.topic}:${it.partition}:${it.offset}`),
      made("td", "words", `${it.cause}: ${it.verdict}`),
    )));
  }

  /** Totals, and the stages that take most of the mean, are shown at first. */
  function showCurves() {
    const window = element("window").value;
    const stages = moment.spans.filter((it) => !it.is_total && !it.name.startsWith("backlog."));
    const most = stages.toSorted((a, b) => b.run.p50 - a.run.p50).slice(0, 3).map((it) => it.name);
    show.curves({
      nines: moment.nines,
      series: moment.spans.map((it) => ({
        name: it.name, total: it.is_total, shown: it.is_total || most.includes(it.name), now: it[window].curve,
      })),
    });
  }

  function showTimes() {
    const select = element("span");
    for (const { name } of moment?.spans ?? []) {
      if (![...select.options].some((it) => it.value === name)) select.add(new Option(name));
    }
    const now = columns.length ? columns[columns.length - 1].at_ms : 0;
    const drawn = columns.map((it) => {
      const span = it.spans[select.value];
      const to = (it.at_ms - now) / 1000;
      return {
        to,
        from: to - it.seconds,
        rate: it.rate,
        count: span?.count ?? 0,
        p50: span && Math.max(span.p50, 1),
        p99: span && Math.max(span.p99, 1),
        max: span && Math.max(span.max, 1),
        heat: span?.heat ?? [],
      };
    });
    const oldest = drawn.length ? -drawn[0].from : 0;
    show.times(drawn, [-60 * Math.min(Math.max(Math.ceil(oldest / 60), 1), 5), 0]);
  }

  function showAll() {
    if (!moment) return;
    showState();
    if (isHeld) return;
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
      columns = [...columns, moment.column].slice(-COLUMNS_MAX);
      showAll();
    });
  }

  function watchOver() {
    if (document.hidden || Date.now() - heard < QUIET_MS) return;
    const quiet = age(Math.round((Date.now() - heard) / 1000));
    if (source.readyState === EventSource.OPEN) {
      state("doubt", `The run answers, but its hot thread has handed nothing over for ${quiet}`);
      return;
    }
    state("doubt", `No word for ${quiet}: the run has ended, or cannot be reached; trying again`);
    if (source.readyState === EventSource.CLOSED) {
      const since = heard;
      listen();
      heard = since;
    }
  }

  element("hold").addEventListener("click", (event) => {
    isHeld = !isHeld;
    event.currentTarget.setAttribute("aria-pressed", isHeld);
    event.currentTarget.textContent = isHeld ? "Go on" : "Hold the view";
    showAll();
  });
  element("window").addEventListener("change", () => moment && showCurves());
  element("span").addEventListener("change", showTimes);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) source.close();
    else listen();
  });
  setInterval(watchOver, 1000);
  listen();
})();
