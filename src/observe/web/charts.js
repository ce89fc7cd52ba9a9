// Charts for all pages, on top of uPlot: units, axes, legends, reading by mouse and keyboard, and
// colours that follow the theme; then the two kinds that all pages have: percentile curves, and a
// heat map over time with records a second below it. Everything hangs on one name, `hotspur`.
"use strict";
const hotspur = (() => {
  /** Nanoseconds for people: three digits and a unit. */
  function time(nanos) {
    if (nanos == null) return "–";
    for (const [size, unit] of [[1e9, "s"], [1e6, "ms"], [1e3, "µs"]]) {
      if (nanos < size) continue;
      const amount = nanos / size;
      return amount.toFixed(amount < 9.995 ? 2 : amount < 99.95 ? 1 : 0) + " " + unit;
    }
    return Math.round(nanos) + " ns";
  }

  /** The same for an axis, without decimals that say nothing. */
  const tick = (nanos) => time(nanos).replace(/\.0+ /, " ");

  /** A number with its thousands apart. */
  const grouped = (number) => Math.round(number).toString().replace(/\B(?=(\d{3})+$)/g, ",");

  /** The percentile at that many nines: 0 is 0 %, 1 is 90 %, 2 is 99 %. */
  function percentile(nines) {
    const percent = 100 - 100 * 10 ** -nines;
    return Number(percent.toFixed(Math.max(0, Math.ceil(nines) - 1) + (nines % 1 ? 1 : 0))) + " %";
  }

  /** The name of a colour of the style sheet; a span's colour has the span's name. */
  const named = (name) => "--" + name.replace(/^backlog\./, "").replace(/\W/g, "-");

  /** A colour of the style sheet, as the theme of this moment has it. */
  function colour(name) {
    const style = getComputedStyle(document.documentElement);
    return (style.getPropertyValue(named(name)) || style.getPropertyValue("--other")).trim();
  }

  /** An axis whose ink follows the theme. */
  const axis = (options) => ({
    stroke: () => colour("quiet"),
    grid: { stroke: () => colour("grid"), width: 1 },
    ticks: { stroke: () => colour("grid"), width: 1 },
    font: "12px system-ui, sans-serif",
    ...options,
  });

  /** An axis of time on a logarithmic scale. */
  const timeAxis = () => axis({
    size: 64,
    values: (chart, splits) => splits.map((it) => (it == null ? "" : tick(it))),
  });

  /** Whole decades around all these values; a chart then stands still when series come and go. */
  function decades(lists) {
    let [low, high] = [Infinity, 1];
    for (const value of lists.flat()) {
      if (value == null) continue;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
    low = 10 ** Math.floor(Math.log10(Math.min(low, high)));
    return [low, 10 ** Math.max(Math.ceil(Math.log10(high)), Math.log10(low) + 1)];
  }

  const charts = {};

  /**
   * Draws a chart into the element of that name, as wide as it is, and keeps it so. One that was
   * there goes, with its legend.
   */
  function draw(name, height, options, data) {
    const place = document.getElementById(name);
    const width = () => Math.max(place.clientWidth, 200);
    if (charts[name]) {
      charts[name].destroy();
      if (place.previousElementSibling?.className === "legend") place.previousElementSibling.remove();
    } else {
      new ResizeObserver(() => {
        if (width() !== charts[name].width) charts[name].setSize({ width: width(), height });
      }).observe(place);
      place.addEventListener("keydown", (event) => readByKey(charts[name], event));
    }
    charts[name] = new uPlot({
      width: width(),
      height,
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, points: { size: 6 } },
      ...options,
    }, data, place);
    return charts[name];
  }

  /** Left and right move the reading by one point, Escape ends it. */
  function readByKey(chart, event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "Escape") chart.setCursor({ left: -10, top: -10 });
    if (!step) return;
    event.preventDefault();
    const points = chart.data[0];
    const from = chart.cursor.idx ?? (step > 0 ? -1 : points.length);
    const index = Math.min(Math.max(from + step, 0), points.length - 1);
    chart.setCursor({ left: chart.valToPos(points[index], "x"), top: chart.over.clientHeight / 2 });
  }

  /** Sets what an output says, once: each change may be read aloud. */
  function say(output, text) {
    if (output.value !== text) output.value = text;
  }

  /**
   * A legend of check boxes, before the chart, which switch series on and off by mouse and keyboard.
   * Returns what shows the values at the cursor. An item has: name, colour, series (indexes), shown.
   */
  function legend(chart, items) {
    const list = document.createElement("div");
    list.className = "legend";
    const outputs = items.map((item) => {
      const label = document.createElement("label");
      const box = document.createElement("input");
      box.type = "checkbox";
      box.checked = item.shown;
      box.name = item.name;
      box.addEventListener("change", () => {
        item.shown = box.checked;
        for (const index of item.series) chart.setSeries(index, { show: box.checked });
      });
      const mark = document.createElement("i");
      mark.style.borderTopColor = `var(${named(item.colour)}, var(--other))`;
      const output = document.createElement("output");
      // Many change at once; what is read is said in one place.
      output.setAttribute("aria-live", "off");
      label.append(box, mark, item.name, output);
      list.append(label);
      return output;
    });
    const place = chart.root.parentElement;
    place.parentElement.insertBefore(list, place);
    return (index) => items.forEach((item, at) => {
      outputs[at].value = index == null ? "" : time(chart.data[item.series[0]][index]);
    });
  }

  /**
   * Percentile curves in the element `curves`; what is read stands in `reading`, an output. A span
   * has one line, and a dashed one where there is a base. Returns what draws others in their place:
   * a list of spans has `nines` and, by span, name, total, shown, now and perhaps base.
   */
  function curves(reading) {
    let [items, most, range, read] = [[], 1, [1, 10], () => {}];

    function drawn(nines, spans) {
      const series = [{}];
      items = spans.map((span) => {
        const old = items.find((it) => it.name === span.name);
        const item = { name: span.name, colour: span.name, shown: (old ?? span).shown, series: [] };
        for (const [values, dash] of [[span.now, undefined], [span.base, [6, 5]]]) {
          if (!values) continue;
          item.series.push(series.length);
          series.push({
            label: span.name,
            show: item.shown,
            stroke: () => colour(span.name),
            width: span.total ? 2.5 : 1.5,
            dash: dash ?? (span.name.startsWith("backlog.") ? [2, 3] : undefined),
            points: { show: false },
          });
        }
        return item;
      });
      const chart = draw("curves", 340, {
        scales: { x: { time: false, range: () => [0, most] }, y: { distr: 3, range: () => range } },
        axes: [
          axis({
            splits: () => Array.from({ length: Math.floor(most) + 1 }, (_, it) => it),
            values: (_, splits) => splits.map(percentile),
          }),
          timeAxis(),
        ],
        series,
        hooks: { setCursor: [(it) => read(it.cursor.idx)] },
      }, [nines, ...spans.flatMap((it) => [it.now, it.base].filter(Boolean))]);
      const show = legend(chart, items);
      read = (index) => {
        say(reading, index == null ? "" : "at " + percentile(chart.data[0][index]));
        show(index);
      };
    }

    return ({ nines, series }) => {
      const data = [nines, ...series.flatMap((it) => [it.now, it.base].filter(Boolean))];
      most = nines[nines.length - 1];
      // The smallest values of all, often a few of zero, would push the rest together.
      range = decades(data.slice(1).map((it) => it.slice(1)));
      const isSame = series.map((it) => it.name).join() === items.map((it) => it.name).join();
      if (charts.curves && isSame) {
        charts.curves.setData(data);
      } else {
        drawn(nines, series);
      }
      read(charts.curves.cursor.idx);
    };
  }

  /** The lower edge of a row of a heat map. */
  const edge = (row) => 2 ** (row / 2);

  /** One rectangle for each column and row; the more records, the darker, by the logarithm. */
  function paintHeat(chart, columns) {
    const most = Math.max(...columns.flatMap((it) => it.heat.map(([, count]) => count)), 1);
    const { ctx, bbox } = chart;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.fillStyle = colour("heat");
    for (const column of columns) {
      const left = chart.valToPos(column.from, "x", true);
      const right = chart.valToPos(column.to, "x", true);
      for (const [row, count] of column.heat) {
        ctx.globalAlpha = 0.12 + 0.78 * (Math.log(count) / Math.max(Math.log(most), 1));
        const top = chart.valToPos(edge(row + 1), "y", true);
        const bottom = chart.valToPos(edge(row), "y", true);
        ctx.fillRect(left, top, Math.max(right - left, 1), bottom - top);
      }
    }
    ctx.restore();
  }

  /**
   * A heat map with lines over time in the element `heat`, records a second in `rates`; what is
   * read stands in `reading`. Returns what draws other columns in their place. A column has from,
   * to (seconds), count, rate, p50, p99, max and heat ([row, count]); `range` is the axis' ends.
   */
  function times(reading, seconds) {
    let [shown, ends] = [[], [0, 1]];
    const of = (...names) => [
      shown.map((it) => (it.from + it.to) / 2),
      ...names.map((name) => shown.map((it) => it[name])),
    ];
    const x = { time: false, range: () => ends };
    const heatRange = () => {
      const rows = shown.flatMap((it) => it.heat.map(([row]) => row));
      return rows.length ? decades([[edge(Math.min(...rows)), edge(Math.max(...rows) + 1)]]) : [1e3, 1e6];
    };
    const points = { show: () => shown.length < 3 };
    const line = (label, name, dash) => ({
      label, dash, width: 1.5, stroke: () => colour(name), points, spanGaps: false,
    });
    const cursor = { drag: { x: false, y: false }, sync: { key: "time", scales: ["x", null] } };
    const below = () => axis({ values: (_, it) => it.map(seconds) });

    /** The other chart's cursor moves along. */
    function isRead(chart) {
      const place = chart.root.parentElement;
      return place === document.activeElement || place.matches(":hover");
    }

    function readTime(chart) {
      const { idx, top } = chart.cursor;
      const column = idx == null || top < 0 ? undefined : shown[idx];
      if (!column) {
        say(reading, "");
        return;
      }
      let text = `at ${seconds(column.from)}: ${grouped(column.count)} records`;
      if (chart === charts.heat) {
        const row = Math.floor(2 * Math.log2(chart.posToVal(top, "y")));
        const cell = column.heat.find((it) => it[0] === row);
        text += `, ${grouped(cell ? cell[1] : 0)} of them ${time(edge(row))} to ${time(edge(row + 1))}`;
      }
      say(reading, text);
    }

    let read = () => {};
    const heat = draw("heat", 300, {
      cursor,
      scales: { x, y: { distr: 3, range: heatRange } },
      axes: [below(), timeAxis()],
      series: [{}, line("p50", "ink"), line("p99", "transit"), line("max", "doubt", [4, 4])],
      hooks: {
        drawAxes: [(chart) => paintHeat(chart, shown)],
        setCursor: [(chart) => { readTime(chart); read(chart.cursor.idx); }],
      },
    }, of("p50", "p99", "max"));
    read = legend(heat, [
      { name: "p50", colour: "ink", series: [1], shown: true },
      { name: "p99", colour: "transit", series: [2], shown: true },
      { name: "max", colour: "doubt", series: [3], shown: true },
    ]);
    const rates = draw("rates", 140, {
      cursor,
      scales: { x, y: { range: (_, low, high) => [0, Math.max(high * 1.1, 1)] } },
      axes: [below(), axis({ size: 64, values: (_, it) => it.map((rate) => grouped(rate) + "/s") })],
      series: [{}, { ...line("records/s", "note"), paths: uPlot.paths.stepped({ align: 0 }) }],
      hooks: { setCursor: [(chart) => { if (isRead(chart)) readTime(chart); }] },
    }, of("rate"));

    return (columns, range) => {
      [shown, ends] = [columns, range];
      heat.setData(of("p50", "p99", "max"));
      rates.setData(of("rate"));
    };
  }

  /** Draws everything once more when the theme changes, or paper takes its place. */
  function followTheme() {
    for (const query of ["(prefers-color-scheme: dark)", "print"]) {
      matchMedia(query).addEventListener("change", () => {
        for (const chart of Object.values(charts)) chart.redraw(false, true);
      });
    }
  }

  followTheme();
  return { time, grouped, colour, curves, times, charts };
})();
