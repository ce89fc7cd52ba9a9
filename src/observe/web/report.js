// What a report draws from its data: percentile curves, a heat map over time, records a second.
"use strict";
(() => {
  const { curves, times } = JSON.parse(document.getElementById("data").textContent);
  const totals = new Set(curves.series.filter((it) => it.total).map((it) => it.name));

  // Percentile curves. A span has one line, and a dashed one where there is a base.
  function drawCurves() {
    const series = [{}];
    const data = [curves.nines];
    const items = [];
    for (const span of curves.series) {
      const item = { name: span.name, colour: span.name, shown: span.shown, series: [] };
      for (const [values, dash] of [[span.now, undefined], [span.base, [6, 5]]]) {
        if (!values) continue;
        item.series.push(series.length);
        series.push({
          label: span.name,
          show: span.shown,
          stroke: () => hotspur.colour(span.name),
          width: totals.has(span.name) ? 2.5 : 1.5,
          dash,
          points: { show: false },
        });
        data.push(values);
      }
      items.push(item);
    }
    const most = curves.nines[curves.nines.length - 1];
    const whole = Array.from({ length: Math.floor(most) + 1 }, (_, it) => it);
    // The smallest values of all, often a few of zero, would push the rest together.
    const range = hotspur.decades(data.slice(1).map((it) => it.slice(1)));
    let read = () => {};
    const chart = hotspur.draw("curves", 340, {
      scales: { x: { time: false, range: () => [0, most] }, y: { distr: 3, range: () => range } },
      axes: [
        hotspur.axis({ splits: () => whole, values: (_, splits) => splits.map(hotspur.percentile) }),
        hotspur.timeAxis(),
      ],
      series,
      hooks: { setCursor: [(it) => read(it.cursor.idx)] },
    }, data);
    const where = document.createElement("output");
    const show = hotspur.legend(chart, items);
    chart.root.parentElement.previousElementSibling.append(where);
    read = (index) => {
      where.value = index == null ? "" : "at " + hotspur.percentile(curves.nines[index]);
      show(index);
    };
  }

  // Over time: the middle of each column, in seconds since the start.
  const middles = Array.from({ length: times.columns }, (_, it) => (it + 0.5) * times.column_seconds);
  const end = times.columns * times.column_seconds;
  const edge = (row) => 2 ** (row / 2);
  const seconds = (value) => `${Number(value.toFixed(3))} s`;
  let chosen = times.spans.find((it) => it.name === times.first) ?? times.spans[0];

  const heatData = () => [middles, chosen.p50, chosen.p99, chosen.max];
  const rateData = () => [middles, chosen.rate];
  const heatRange = () => {
    const rows = chosen.heat.map((it) => it[1]);
    return hotspur.decades([[edge(Math.min(...rows)), edge(Math.max(...rows) + 1)]]);
  };

  // One rectangle for each column and row; the more records, the darker, by the logarithm.
  function paintHeat(chart) {
    const most = Math.max(...chosen.heat.map((it) => it[2]));
    const { ctx, bbox } = chart;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.fillStyle = hotspur.colour("heat");
    for (const [column, row, count] of chosen.heat) {
      ctx.globalAlpha = 0.12 + 0.78 * (Math.log(count) / Math.max(Math.log(most), 1));
      const left = chart.valToPos(column * times.column_seconds, "x", true);
      const right = chart.valToPos((column + 1) * times.column_seconds, "x", true);
      const top = chart.valToPos(edge(row + 1), "y", true);
      const bottom = chart.valToPos(edge(row), "y", true);
      ctx.fillRect(left, top, Math.max(right - left, 1), bottom - top);
    }
    ctx.restore();
  }

  function readTime(chart) {
    const { idx, top } = chart.cursor;
    const reading = document.getElementById("reading");
    if (idx == null || top < 0) {
      reading.value = "";
      return;
    }
    const count = chosen.count[idx];
    let text = `at ${seconds(idx * times.column_seconds)}: ${hotspur.grouped(count)} records`;
    if (chart === hotspur.charts.heat) {
      const row = Math.floor(2 * Math.log2(chart.posToVal(top, "y")));
      const cell = chosen.heat.find((it) => it[0] === idx && it[1] === row);
      const span = `${hotspur.time(edge(row))} to ${hotspur.time(edge(row + 1))}`;
      text += `, ${hotspur.grouped(cell ? cell[2] : 0)} of them ${span}`;
    }
    reading.value = text;
  }

  function drawTimes() {
    const x = { time: false, range: () => [0, end] };
    const line = (label, colour, dash) => ({
      label, dash, width: 1.5, stroke: () => hotspur.colour(colour), points: { show: middles.length < 3 },
    });
    let read = () => {};
    const cursor = { drag: { x: false, y: false }, sync: { key: "time", scales: ["x", null] } };
    const heat = hotspur.draw("heat", 300, {
      cursor,
      scales: { x, y: { distr: 3, range: heatRange } },
      axes: [hotspur.axis({ values: (_, it) => it.map(seconds) }), hotspur.timeAxis()],
      series: [{}, line("p50", "ink"), line("p99", "transit"), line("max", "doubt", [4, 4])],
      hooks: {
        drawAxes: [paintHeat],
        setCursor: [(chart) => { readTime(chart); read(chart.cursor.idx); }],
      },
    }, heatData());
    read = hotspur.legend(heat, [
      { name: "p50", colour: "ink", series: [1], shown: true },
      { name: "p99", colour: "transit", series: [2], shown: true },
      { name: "max", colour: "doubt", series: [3], shown: true },
    ]);
    const rates = hotspur.draw("rates", 140, {
      cursor,
      scales: { x, y: { range: (_, low, high) => [0, Math.max(high * 1.1, 1)] } },
      axes: [
        hotspur.axis({ values: (_, it) => it.map(seconds) }),
        hotspur.axis({ size: 64, values: (_, it) => it.map((rate) => hotspur.grouped(rate) + "/s") }),
      ],
      series: [{}, { ...line("records/s", "note"), paths: uPlot.paths.stepped({ align: 0 }) }],
    }, rateData());
    chooseSpan(heat, rates);
  }

  function chooseSpan(heat, rates) {
    const select = document.getElementById("span");
    for (const span of times.spans) select.add(new Option(span.name));
    select.value = chosen.name;
    select.addEventListener("change", () => {
      chosen = times.spans.find((it) => it.name === select.value);
      heat.setData(heatData());
      rates.setData(rateData());
    });
  }

  if (curves.series.length) {
    drawCurves();
    drawTimes();
  } else {
    for (const id of ["percentiles", "time"]) document.getElementById(id).hidden = true;
  }
})();
