// Charts for all pages, on top of uPlot: units, axes, legends, reading by mouse and keyboard, and
// colours that follow the theme. Everything hangs on one name, `hotspur`.
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
  const named = (name) => "--" + name.replace(/\W/g, "-");

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

  /** Draws a chart into the element of that name, as wide as it is, and keeps it so. */
  function draw(name, height, options, data) {
    const place = document.getElementById(name);
    const chart = new uPlot({
      width: Math.max(place.clientWidth, 200),
      height,
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, points: { size: 6 } },
      ...options,
    }, data, place);
    new ResizeObserver(() => {
      const width = Math.max(place.clientWidth, 200);
      if (width !== chart.width) chart.setSize({ width, height });
    }).observe(place);
    place.addEventListener("keydown", (event) => readByKey(chart, event));
    charts[name] = chart;
    return chart;
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
        for (const index of item.series) chart.setSeries(index, { show: box.checked });
      });
      const mark = document.createElement("i");
      mark.style.borderTopColor = `var(${named(item.colour)}, var(--other))`;
      const output = document.createElement("output");
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

  /** Draws everything once more when the theme changes, or paper takes its place. */
  function followTheme() {
    for (const query of ["(prefers-color-scheme: dark)", "print"]) {
      matchMedia(query).addEventListener("change", () => {
        for (const chart of Object.values(charts)) chart.redraw(false, true);
      });
    }
  }

  followTheme();
  return { time, grouped, percentile, colour, axis, timeAxis, decades, draw, legend, charts };
})();
