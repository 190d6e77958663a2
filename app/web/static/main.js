/** The page: what is entered, what is asked for, and what is shown of the answers. */

import { Latest, Problem, getJson, jsonOf, postImage } from "./api.js";
import { ChangePanel } from "./change.js";
import { drawChart, drawTable } from "./chart.js";
import { cliffsOf } from "./cliffs.js";
import { curlBlock, curlOf } from "./curl.js";
import { byId, h } from "./dom.js";
import { describe, drawFigure } from "./figure.js";
import { drawCliffs, drawFacts } from "./facts.js";
import { filesOf } from "./files.js";
import { isAbort, showProblem, uploadProgress } from "./messages.js";
import { bytes, crops, grid, px } from "./words.js";
import { PicturePanel } from "./pictures.js";
import { waitingFor } from "./readiness.js";

/** @typedef {{width: number, height: number}} Size */
/** @typedef {{file: File, address: string, facts: ImageAnswer}} Upload */

/** Planned before anything is chosen. */
const FIRST = { width: 1024, height: 768 };

/** Typing and dragging rest so long before they are sent. */
const REST_MS = 150;

const inputs = byId("inputs", HTMLFormElement);
const fields = {
  file: byId("file", HTMLInputElement),
  width: byId("width", HTMLInputElement),
  height: byId("height", HTMLInputElement),
  model: byId("model", HTMLSelectElement),
  maxCrops: byId("max-crops", HTMLInputElement),
  margins: byId("margins", HTMLInputElement),
  cropSize: byId("crop-size", HTMLInputElement),
};
const change = new ChangePanel();
const pictures = new PicturePanel();
const plans = new Latest();
const uploads = new Latest();

/** @type {FamilyAnswer[]} */
let families = [];
/** @type {Upload | null} */
let upload = null;
/** Addresses of images that are chosen no more, but shown until another is. @type {string[]} */
const outdated = [];
/** What is shown; `drawn` is all of it but latencies. @type {{plan: PlanAnswer, lut: LutAnswer, drawn: string} | null} */
let shown = null;
/** Of the image or size that was shown last. */
let subject = "";
/** @type {number | undefined} */
let timer;

/** The family that is chosen. */
const family = () => families.find((one) => one.name === fields.model.value);

/** What was set of the configuration, as parameters of every call. */
const config = () => ({
  model: family()?.default ? null : fields.model.value,
  max_crops: fields.maxCrops.value,
  overlap_margins: fields.margins.value,
  crop_size_px: fields.cropSize.value,
});

/** @returns {Size} */
const size = () => ({ width: fields.width.valueAsNumber, height: fields.height.valueAsNumber });

/** @param {number} ms */
function soon(ms) {
  clearTimeout(timer);
  plans.stop(); // its answer would be of what is no longer entered
  timer = setTimeout(refresh, ms);
}

/** Ask for the plan and the table of what is entered, and show them. */
async function refresh() {
  clearTimeout(timer);
  const signal = plans.next();
  if (!inputs.checkValidity()) {
    document.body.removeAttribute("aria-busy");
    return showProblem("problem", firstInvalid());
  }
  showProblem("problem"); // not once there is an answer: a file may have been refused by then
  document.body.setAttribute("aria-busy", "true");
  try {
    const asked = { ...config(), ...size() };
    const [plan, lut] = await Promise.all([
      getJson("plan", asked, signal),
      getJson("lut", asked, signal),
    ]);
    await show(plan, lut, signal);
  } catch (error) {
    if (isAbort(error)) return; // what came after it goes on
    showProblem("problem", error);
  }
  document.body.removeAttribute("aria-busy");
}

/** What is wrong with the first field that is. */
function firstInvalid() {
  const wrong = inputs.querySelector("input:invalid");
  if (!(wrong instanceof HTMLInputElement)) return undefined;
  const problem = new Problem(0, { detail: wrong.validationMessage });
  problem.about = wrong.getAttribute("aria-label") ?? wrong.labels?.[0]?.textContent ?? wrong.id;
  return problem;
}

/**
 * @param {PlanAnswer} plan
 * @param {LutAnswer} lut
 * @param {AbortSignal} signal
 */
async function show(plan, lut, signal) {
  const isStretched = family()?.resize_law === "stretch";
  const picture = upload?.address ?? null;
  const drawn = JSON.stringify([picture, config(), { ...plan, latency: null }]);
  const isTimed = drawn === shown?.drawn;
  shown = { plan, lut, drawn };
  fields.maxCrops.placeholder = String(family()?.config.max_crops);
  fields.cropSize.placeholder = String(family()?.config.crop_size_px);
  fields.margins.placeholder = String(family()?.config.overlap_margins);
  if (!isTimed) {
    // Drawn once: a crop that is selected stays so, and has the focus, while latencies come.
    byId("plan-summary", HTMLElement).textContent = summaryOf(plan);
    drawFigure(byId("figure", HTMLElement), plan, {
      isStretched,
      picture,
      label: upload?.file.name ?? px(plan.image),
      onSelect: showCrop,
    });
    showCrop(null);
    byId("plan-curl", HTMLElement).replaceChildren(curlBlock(planCurl(plan)));
    const { width, height } = plan.image;
    pictures.update({ size: { width, height }, file: upload?.file ?? null, config: config() });
  }
  drawTableAndChart();
  const another = `${upload?.address ?? ""} ${plan.image.width}x${plan.image.height}`;
  change.update(
    { plan, lut, file: upload?.file ?? null, picture, config: config(), isStretched },
    another !== subject,
    isTimed,
  );
  for (const address of outdated.splice(0)) URL.revokeObjectURL(address);
  subject = another;
  remember();
  const waiting = await waitingFor(plan, () => soon(0), signal);
  drawFacts(byId("facts", HTMLElement), plan, waiting);
  drawCliffs(plan, await cliffsOf(plan, config(), signal));
}

function drawTableAndChart() {
  if (shown === null) return;
  const { plan, lut } = shown;
  drawChart(byId("chart", HTMLElement), lut, { plan, onTarget: (target) => change.aim(target) });
  drawTable(byId("table", HTMLElement), lut, plan);
  byId("chart-summary", HTMLElement).textContent =
    `${upload ? "This image" : px(plan.image)} is at ${crops(plan.tiling.crops)}. ` +
    "Click a number of crops to aim at it.";
}

/** @param {PlanAnswer} plan */
function summaryOf({ image, canvas, tiling }) {
  const of = upload ? `${upload.file.name}, ${px(image)}, ${bytes(upload.file.size)}` : px(image);
  const notes = upload?.facts.notes.length ? ` Note: ${upload.facts.notes.join("; ")}.` : "";
  const turned = (upload?.facts.orientation ?? 1) > 1 ? ", turned upright" : "";
  return `${of}${turned}: ${grid(tiling)} on a canvas of ${px(canvas)}, ${crops(tiling.crops)} and the global one.${notes}`;
}

/** @param {CropAnswer | null} crop */
function showCrop(crop) {
  const hint = "Click a crop, or use the arrow keys, to see what it shows.";
  byId("crop-detail", HTMLOutputElement).textContent = crop
    ? `Crop ${crop.index}, ${describe(crop)}.`
    : hint;
}

/** @param {PlanAnswer} plan */
function planCurl({ image }) {
  if (upload) return curlOf("analyze", config(), { file: upload.file });
  return curlOf("plan", { width: image.width, height: image.height, ...config() });
}

/**
 * Take an image: it is sent once, to learn its size, and shown from this machine.
 * @param {File} file
 */
async function take(file) {
  const signal = uploads.next();
  const progress = uploadProgress("progress", "Reading the image…");
  try {
    const options = { accept: "application/json", signal, onProgress: progress.update };
    const { body } = await postImage("analyze", { ...config(), latency: "none" }, file, options);
    /** @type {PlanAnswer} */
    const plan = await jsonOf(body);
    forget();
    upload = { file, address: URL.createObjectURL(file), facts: plan.image };
    fields.width.value = String(plan.image.width);
    fields.height.value = String(plan.image.height);
    byId("source-hint", HTMLElement).textContent = file.name;
    soon(0);
  } catch (error) {
    // What was shown before stays, with its image.
    if (error instanceof Problem) error.about = file.name;
    showProblem("problem", error);
  } finally {
    progress.end();
  }
}

/** From now on a size without an image. */
function forget() {
  if (upload === null) return;
  outdated.push(upload.address);
  upload = null;
  byId("source-hint", HTMLElement).textContent = "or drop or paste one anywhere";
}

/** Put what is entered into the address, to be kept or sent; an image does not go into one. */
function remember() {
  const kept = new URLSearchParams();
  for (const [name, value] of Object.entries({ ...size(), ...config() }))
    if (value !== null && value !== "") kept.set(name, String(value));
  history.replaceState(null, "", `#${kept}`);
}

/** Enter what an address keeps. */
function recall() {
  const kept = new URLSearchParams(location.hash.slice(1));
  /** @type {[HTMLInputElement, string, string][]} */
  const entered = [
    [fields.width, "width", String(FIRST.width)],
    [fields.height, "height", String(FIRST.height)],
    [fields.maxCrops, "max_crops", ""],
    [fields.margins, "overlap_margins", ""],
    [fields.cropSize, "crop_size_px", ""],
  ];
  for (const [field, name, otherwise] of entered) {
    field.value = kept.get(name) ?? otherwise;
    if (!field.checkValidity()) field.value = otherwise;
  }
  const known = families.find((one) => one.name === kept.get("model"));
  fields.model.value = (known ?? families.find((one) => one.default))?.name ?? "";
}

function listen() {
  inputs.addEventListener("submit", (event) => event.preventDefault());
  for (const side of [fields.width, fields.height])
    side.addEventListener("input", () => {
      uploads.stop();
      forget();
      soon(REST_MS);
    });
  for (const field of [fields.model, fields.maxCrops, fields.margins, fields.cropSize])
    field.addEventListener("input", () => soon(REST_MS));
  fields.file.addEventListener("change", () => {
    const file = fields.file.files?.[0];
    fields.file.value = ""; // or the same file, chosen again, would be no change
    if (file) take(file);
  });
  byId("progress-cancel", HTMLButtonElement).addEventListener("click", () => uploads.stop());
  window.addEventListener("hashchange", () => {
    uploads.stop();
    forget();
    recall();
    soon(0);
  });
  filesOf(byId("drop", HTMLElement), take);
  let width = 0;
  new ResizeObserver(([entry]) => {
    if (entry && entry.contentRect.width !== width) drawTableAndChart();
    width = entry?.contentRect.width ?? 0;
  }).observe(byId("chart", HTMLElement));
}

async function start() {
  listen();
  try {
    /** @type {ModelsAnswer} */
    const models = await getJson("models");
    families = models.models;
  } catch (error) {
    return showProblem("problem", error);
  }
  for (const one of families)
    fields.model.append(h("option", { value: one.name, selected: one.default }, one.name));
  recall();
  await refresh();
}

start();
