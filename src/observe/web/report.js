// What a report draws from its data: percentile curves, a heat map over time, records a second.
"use strict";
(() => {
  const { curves, times } = JSON.parse(document.getElementById("data").textContent);
  const length = times.column_seconds;
  const seconds = (value) => `${Number(value.toFixed(3))} s`;

  function drawCurves() {
    const reading = document.createElement("output");
    document.querySelector("#percentiles h2").append(reading);
    hotspur.curves(reading)(curves);
  }

  /** The columns of a span, as the charts take them. */
  function columns(span) {
    const all = span.count.map((count, at) => ({
      from: at * length,
      to: (at + 1) * length,
      count,
      rate: span.rate[at],
      p50: span.p50[at],
      p99: span.p99[at],
      max: span.max[at],
      heat: [],
    }));
    for (const [column, row, count] of span.heat) all[column].heat.push([row, count]);
    return all;
  }

  function drawTimes() {
    const show = hotspur.times(document.getElementById("reading"), seconds);
    const select = document.getElementById("span");
    for (const span of times.spans) select.add(new Option(span.name));
    const chosen = () => times.spans.find((it) => it.name === select.value) ?? times.spans[0];
    const draw = () => show(columns(chosen()), [0, times.columns * length]);
    select.value = (times.spans.find((it) => it.name === times.first) ?? times.spans[0]).name;
    select.addEventListener("change", draw);
    draw();
  }

  if (curves.series.length) {
    drawCurves();
    drawTimes();
  } else {
    for (const id of ["percentiles", "time"]) document.getElementById(id).hidden = true;
  }
})();
