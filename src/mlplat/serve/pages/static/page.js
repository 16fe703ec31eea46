"use strict";

const byId = (id) => document.getElementById(id);

function element(name, text, attributes) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  return made;
}

// Lines through numbers, as SVG: [{values, start, kind}], drawn over `count` places.
function lines(parts, count, label) {
  const make = (name, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const all = parts.flatMap((part) => part.values);
  const low = Math.min(...all), range = Math.max(...all) - low || 1;
  const drawing = make("svg", { class: "chart", viewBox: "0 0 320 90", role: "img", "aria-label": label });
  for (const { values, start, kind } of parts) {
    const at = (value, i) =>
      `${(((start + i) / Math.max(count - 1, 1)) * 316 + 2).toFixed(1)} ${(86 - ((value - low) / range) * 82).toFixed(1)}`;
    drawing.append(make("path", { class: kind, d: "M" + values.map(at).join("L") }));
  }
  return drawing;
}

// ---- the form

function valueOf(field) {
  const text = field.value;
  switch (field.dataset.kind) {
    case "number": return text === "" ? null : Number(text);
    case "checkbox": return field.checked;
    case "boolean": return text === "" ? null : text === "true";
    case "text": return text === "" ? null : text;
    default: return text;
  }
}

// A text as it is meant: what is no number stays text, so that the server says what is wrong with it.
function numberOr(text) {
  return text.trim() === "" || Number.isNaN(Number(text)) ? text : Number(text);
}

function question(form) {
  if (form.dataset.form === "series") {
    const words = byId("values").value.split(/[\s,;]+/).filter((word) => word !== "");
    return { values: words.map(numberOr), horizon: numberOr(byId("horizon").value) };
  }
  if (form.dataset.form === "json") return { features: JSON.parse(byId("row").value) };
  return { features: Array.from(form.querySelectorAll("[data-kind]"), valueOf) };
}

function showAnswer(answer, asked, milliseconds) {
  const out = byId("answer");
  out.className = "";
  const parts = [];
  if (answer.predictions) {
    parts.push(element("strong", answer.predictions.map((value) => Number(value.toPrecision(5))).join(", ")));
    const past = asked.values.map(Number);
    parts.push(lines(
      [{ values: past, start: 0, kind: "line past" },
       { values: [past[past.length - 1], ...answer.predictions], start: past.length - 1, kind: "line" }],
      past.length + answer.predictions.length, "The values and the forecast after them"));
  } else {
    parts.push(element("strong", String(answer.prediction)));
  }
  const likely = Object.entries(answer.probabilities || {}).sort((a, b) => b[1] - a[1]).slice(0, 10);
  for (const [name, share] of likely) {
    const label = element("label", `${name}: ${(100 * share).toFixed(1)}%`);
    label.append(element("meter", undefined, { min: 0, max: 1, value: share }));
    parts.push(label);
  }
  parts.push(element("small", `${answer.model_name} ${answer.model_version}, ${milliseconds.toFixed(1)} ms from here and back`));
  const whole = element("details");
  whole.append(element("summary", "as JSON"), element("pre", JSON.stringify(answer, null, 1)));
  out.replaceChildren(...parts, whole);
}

function showError(text) {
  const out = byId("answer");
  out.className = "error";
  out.replaceChildren(element("b", text));
}

async function ask(event) {
  event.preventDefault();
  const button = event.target.querySelector("button");
  let asked;
  try {
    asked = question(event.target);
  } catch (error) {
    showError(`That is not JSON: ${error.message}`);
    return;
  }
  button.disabled = true;
  try {
    const start = performance.now();
    const response = await fetch("predict", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(asked),
    });
    const answer = await response.json().catch(() => ({ error: `HTTP ${response.status}, without JSON` }));
    if (response.ok && !answer.error) showAnswer(answer, asked, performance.now() - start);
    else showError(answer.error);
  } catch (error) {
    showError(`No answer: ${error.message}`);
  } finally {
    button.disabled = false;
  }
}

// ---- live rates, out of the counters for Prometheus

const SECONDS = 3, REMEMBERED = 60;

// The samples of an exposition: [{name, labels, value}].
function* samples(text) {
  for (const [, name, inside, value] of text.matchAll(/^([a-z_]\w*)(?:\{(.*)\})? (\S+)$/gim)) {
    const labels = {};
    for (const [, key, raw] of (inside || "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) labels[key] = raw;
    yield { name, labels, value: Number(value.replace("Inf", "Infinity")) };
  }
}

function count(text, at) {
  const counted = { at, requests: 0, errors: 0, buckets: new Map(), process: "", version: "" };
  for (const { name, labels, value } of samples(text)) {
    if (name === "process_start_time_seconds") counted.process = String(value);
    if (name === "mlplat_model_info" && value === 1) counted.version = labels.version;
    if (labels.protocol === "http") continue;
    if (name === "mlplat_requests_total") {
      counted.requests += value;
      if ((labels.status ?? "") >= "400") counted.errors += value;
    } else if (name === "mlplat_request_seconds_bucket") {
      counted.buckets.set(labels.le, (counted.buckets.get(labels.le) || 0) + value);
    }
  }
  return counted;
}

// The latency below which a share of the requests between two counts were answered, interpolated as Prometheus does.
function quantile(share, before, now) {
  const found = [...now.buckets].map(([bound, value]) => [Number(bound.replace("Inf", "Infinity")), value - (before.buckets.get(bound) || 0)]);
  found.sort((a, b) => a[0] - b[0]);
  const total = found.length ? found[found.length - 1][1] : 0;
  if (total <= 0) return null;
  let low = 0, below = 0;
  for (const [bound, value] of found) {
    if (value >= share * total) {
      return bound === Infinity ? low : low + ((bound - low) * (share * total - below)) / (value - below || 1);
    }
    [low, below] = [bound, value];
  }
  return low;
}

const rate = (value) => (value === 0 || value >= 100 ? value.toFixed(0) : value.toFixed(1));
const time = (seconds) =>
  seconds === null ? "–" : seconds < 1 ? `${Number((1000 * seconds).toPrecision(2))} ms` : `${Number(seconds.toPrecision(2))} s`;

const last = new Map(); // by process: behind a Service, another one may answer the next time
const trace = [];

async function look() {
  if (document.hidden) return;
  try {
    const response = await fetch("metrics", { cache: "no-store" });
    if (!response.ok) throw new Error(`/metrics answered ${response.status}`);
    const now = count(await response.text(), performance.now());
    const before = last.get(now.process);
    last.set(now.process, now);
    const note = byId("live-note");
    const shown = document.body.dataset.version;
    if (now.version && shown && now.version !== shown) {
      note.replaceChildren(`${now.version} serves now: `, element("a", "load this page again", { href: "" }), ".");
    }
    byId("rates").dataset.looks = Number(byId("rates").dataset.looks || 0) + 1;
    if (!before) return;
    const seconds = (now.at - before.at) / 1000;
    const asked = Math.max(0, now.requests - before.requests) / seconds;
    byId("live-requests").textContent = rate(asked);
    byId("live-errors").textContent = rate(Math.max(0, now.errors - before.errors) / seconds);
    byId("live-median").textContent = time(quantile(0.5, before, now));
    byId("live-slow").textContent = time(quantile(0.99, before, now));
    trace.push(asked);
    if (trace.length > REMEMBERED) trace.shift();
    byId("trace").replaceChildren(
      lines([{ values: [0, ...trace], start: REMEMBERED - trace.length, kind: "line" }], REMEMBERED + 1, "Requests per second lately"));
  } catch (error) {
    for (const name of ["requests", "errors", "median", "slow"]) byId(`live-${name}`).textContent = "–";
    byId("live-note").textContent = `No figures: ${error.message}`;
  }
}

byId("try").addEventListener("submit", ask);
look();
setInterval(look, SECONDS * 1000);
