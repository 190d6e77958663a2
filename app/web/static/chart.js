/** The table from a number of crops to tokens and latency: two panels over one axis, and as rows. */

import { h, svg } from "./dom.js";
import { count, grid, percent, px, time } from "./words.js";

/** @typedef {{plan: PlanAnswer, onTarget: (crops: number) => void}} Here where the image is */
/** @typedef {{crops: number, option: LutOptionAnswer, isBest: boolean, isFit: boolean}} Point */
/** @typedef {{of: (point: Point) => number | null, high: (point: Point) => number | null,
 *   name: string, tick: (value: number) => string, said: (value: number) => string,
 *   now: number | null}} Panel `high`: the end of a point's whisker */

const MARGIN = { left: 58, right: 14, top: 36, bottom: 20 };
const PANEL_HEIGHT = 150;

/** @param {LutAnswer} lut */
export function pointsOf(lut) {
  return lut.rows.flatMap((row) =>
    row.options.map((option, at) => ({
      crops: row.target_crops,
      option,
      isBest: at === row.best,
      isFit: option.fit !== null,
    })),
  );
}

/**
 * Draw the chart at the container's width.
 * @param {HTMLElement} container
 * @param {LutAnswer} lut
 * @param {Here} here
 */
export function drawChart(container, lut, { plan, onTarget }) {
  const points = pointsOf(lut);
  const panels = panelsOf(points, plan);
  const width = Math.max(280, container.clientWidth);
  const height = panels.length * (PANEL_HEIGHT + MARGIN.top) + MARGIN.bottom + 16;
  const most = Math.max(...points.map((point) => point.crops), plan.tiling.crops);
  /** @param {number} crops */
  const x = (crops) => MARGIN.left + ((crops - 0.5) / most) * (width - MARGIN.left - MARGIN.right);
  const chart = svg("svg", {
    width,
    height,
    viewBox: `0 0 ${width} ${height}`,
    role: "img",
    "aria-label": `Prompt tokens${panels.length > 1 ? " and latency" : ""} over grid crops. The same as a table below.`,
  });
  for (const [at, panel] of panels.entries())
    chart.append(
      ...drawPanel(panel, points, plan, x, (at + 1) * MARGIN.top + at * PANEL_HEIGHT, width),
    );
  const bottom = height - MARGIN.bottom - 16;
  for (let crops = 1; crops <= most; crops += Math.ceil((most * 24) / (width - MARGIN.left)))
    chart.append(svg("text", { x: x(crops), y: bottom + 16, class: "tick middle" }, crops));
  chart.append(svg("text", { x: width / 2, y: height - 4, class: "axis middle" }, "grid crops"));
  chart.addEventListener("click", (event) => {
    const { left } = chart.getBoundingClientRect();
    const share = (event.clientX - left - MARGIN.left) / (width - MARGIN.left - MARGIN.right);
    onTarget(Math.min(most, Math.max(1, Math.ceil(share * most))));
  });
  container.replaceChildren(chart, legend(points));
}

/**
 * @param {Point[]} points
 * @param {PlanAnswer} plan
 * @returns {Panel[]}
 */
function panelsOf(points, plan) {
  /** @type {Panel} */
  const tokens = {
    of: ({ option }) => option.tokens.prompt,
    high: () => null,
    name: "Prompt tokens",
    tick: count,
    said: count,
    now: plan.tokens.prompt,
  };
  const most = Math.max(...points.map(({ option }) => option.latency.vision_ms?.p95 ?? 0));
  if (most === 0) return [tokens];
  const [unit, ms] = most >= 2000 ? ["s", 1000] : ["ms", 1];
  /** @param {number | undefined} value */
  const scaled = (value) => (value === undefined ? null : value / ms);
  /** @type {Panel} */
  const latency = {
    of: ({ option }) => scaled(option.latency.vision_ms?.p50),
    high: ({ option }) => scaled(option.latency.vision_ms?.p95),
    name: `Latency in ${unit}, from the median up to p95`,
    tick: (value) => String(Number(value.toPrecision(6))),
    said: (value) => time(value * ms),
    now: scaled(plan.latency.vision_ms?.p50),
  };
  return [tokens, latency];
}

/**
 * @param {Panel} panel
 * @param {Point[]} points
 * @param {PlanAnswer} plan
 * @param {(crops: number) => number} x
 * @param {number} top
 * @param {number} width
 */
function drawPanel(panel, points, plan, x, top, width) {
  const values = points.flatMap((point) => [panel.of(point) ?? 0, panel.high(point) ?? 0]);
  const step = niceStep(Math.max(...values, panel.now ?? 0) / 4);
  const most = step * Math.ceil(Math.max(...values, panel.now ?? 0) / step);
  /** @param {number} value */
  const y = (value) => top + PANEL_HEIGHT * (1 - value / most);
  /** @type {SVGElement[]} */
  const drawn = [svg("text", { x: MARGIN.left, y: top - 9, class: "axis" }, panel.name)];
  for (let value = 0; value <= most; value += step) {
    const ends = { x1: MARGIN.left, x2: width - MARGIN.right, y1: y(value), y2: y(value) };
    drawn.push(svg("line", { ...ends, class: value === 0 ? "zero" : "rule" }));
    const at = { x: MARGIN.left - 6, y: y(value) + 4, class: "tick end" };
    drawn.push(svg("text", at, panel.tick(value)));
  }
  // The best of each count last, so that they lie on top.
  for (const point of [...points].sort((one, other) => Number(one.isBest) - Number(other.isBest)))
    drawn.push(...drawPoint(panel, point, x, y));
  if (panel.now !== null) drawn.push(...drawHere(plan.tiling.crops, panel.now, x, y));
  return drawn;
}

/**
 * @param {Panel} panel
 * @param {Point} point
 * @param {(crops: number) => number} x
 * @param {(value: number) => number} y
 */
function drawPoint(panel, point, x, y) {
  const value = panel.of(point);
  if (value === null) return [];
  const { option, crops, isBest, isFit } = point;
  const kind = isBest ? (isFit ? "best" : "best padded") : "other";
  const high = panel.high(point);
  /** @type {SVGElement[]} */
  const drawn = [];
  if (high !== null && isBest)
    drawn.push(
      svg("line", { x1: x(crops), x2: x(crops), y1: y(value), y2: y(high), class: "whisker" }),
    );
  const title = `${grid(option)}: ${panel.said(value)}${isFit ? "" : ", padded"}`;
  const dot = { cx: x(crops), cy: y(value), r: isBest ? 4.5 : 2.5, class: `dot ${kind}` };
  drawn.push(svg("circle", dot, svg("title", {}, title)));
  return drawn;
}

/**
 * Where the image is.
 * @param {number} crops
 * @param {number} value
 * @param {(crops: number) => number} x
 * @param {(value: number) => number} y
 */
function drawHere(crops, value, x, y) {
  return [
    svg(
      "circle",
      { cx: x(crops), cy: y(value), r: 9, class: "here" },
      svg("title", {}, "this image"),
    ),
  ];
}

/** @param {Point[]} points */
function legend(points) {
  const entries = [
    ["here", "this image"],
    ["best", "reached with the aspect kept"],
  ];
  if (points.some(({ isBest, isFit }) => isBest && !isFit))
    entries.push(["padded", "only padded, cut or stretched"]);
  if (points.some(({ isBest }) => !isBest))
    entries.push(["other", "other tilings of as many crops"]);
  return h(
    "ul",
    { class: "chart-legend" },
    ...entries.map(([kind, name]) => h("li", { class: kind ?? "" }, name ?? "")),
  );
}

/**
 * 1, 2 or 5 times a power of ten.
 * @param {number} least
 */
function niceStep(least) {
  const power = 10 ** Math.floor(Math.log10(least || 1));
  return ([1, 2, 5].find((step) => step * power >= least) ?? 10) * power;
}

/**
 * The best tiling of each count, as rows.
 * @param {HTMLElement} container
 * @param {LutAnswer} lut
 * @param {PlanAnswer} plan
 */
export function drawTable(container, lut, plan) {
  const best = pointsOf(lut).filter((point) => point.isBest);
  const timed = best.some(({ option }) => option.latency.vision_ms);
  const names = ["Grid crops", "Tiling", "Canvas", "This image as", "Prompt tokens", "Overlap"];
  if (timed) names.push("p50", "p95");
  const head = h("tr", {}, ...names.map((name) => h("th", { scope: "col" }, name)));
  const rows = best.map(({ crops, option }) => {
    const cells = [
      grid(option),
      px(option),
      option.fit ? px(option.fit) : "padded",
      count(option.tokens.prompt),
      percent(option.overlap_ratio),
    ];
    const ms = option.latency.vision_ms;
    if (timed) cells.push(ms ? time(ms.p50) : "–", ms ? time(ms.p95) : "–");
    const current = crops === plan.tiling.crops;
    return h(
      "tr",
      { class: current ? "current" : "", "aria-current": current && "true" },
      h("th", { scope: "row" }, crops),
      ...cells.map((cell) => h("td", {}, cell)),
    );
  });
  container.replaceChildren(h("table", {}, h("thead", {}, head), h("tbody", {}, ...rows)));
}
