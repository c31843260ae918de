// Which images there are and in which order: histogram, scatter plots, pictures and table. viewer.js follows.
// Values of JSON reach the page as text and attributes alone, never as markup.
const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const count = data.paths.length, [first, second] = data.runs;
const columns = new Map(data.columns.map((column) => [column.key, column]));
const scores = columns.get("score")?.values ?? [];
const blocks = new Map();

function el(tag, properties = {}, ...children) {
  const made = /^(svg|g|rect|path|line|image|text|title)$/.test(tag)
    ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name.startsWith("--")) made.style.setProperty(name, value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}
const shown = (value, digits) => value === null || value === undefined ? "–"
  : value.toFixed(digits).replace(/^-(?=0*\.?0*$)/, "").replace("-", "\u2212");
const cell = (column, row) => shown(column.values[row], column.digits);
const words = (coded, row) => coded.of[row].map((word) => coded.names[word]);
const percent = (share) => share >= 0.0995 || share === 0 ? `${Math.round(share * 100)} %` : `${(share * 100).toFixed(1)} %`;
const plural = (number, word) => `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;
const common = (() => {
  let prefix = data.paths[0] ?? "";
  for (const path of data.paths) while (prefix && !path.startsWith(prefix)) prefix = prefix.slice(0, -1);
  return prefix.lastIndexOf("/") + 1;
})();
const short = (path) => path.slice(common) || path;
const base = (path) => path.slice(path.lastIndexOf("/") + 1) || path;
const hue = (index) => `hsl(${Math.round(index * 222.49) % 360} 72% 56%)`; // as overlays have them
const webp = (text) => `data:image/webp;base64,${text}`;

/** What a block of the page holds; undefined while the page is still read. */
function block(name) {
  if (!blocks.has(name)) {
    const found = $(name);
    if (!found) return undefined;
    blocks.set(name, JSON.parse(found.textContent));
    if (blocks.size > 60) blocks.delete(blocks.keys().next().value);
  }
  return blocks.get(name);
}
const thumbnail = (row) => block(`thumbnails-${Math.floor(row / data.chunk)}`)?.[row % data.chunk];

// ---- which images, in which order --------------------------------------------------------------------
const state = { key: "score", down: first.lower, text: "", tag: "", mark: "", group: "", low: null, high: null };
if (!columns.has("score")) state.key = "path";
let order = [];
const lowercase = data.paths.map((path) => path.toLowerCase());
const rank = [...lowercase.keys()].sort((a, b) => lowercase[a] < lowercase[b] ? -1 : lowercase[a] > lowercase[b] ? 1 : a - b);
const place = new Int32Array(count);
rank.forEach((row, index) => { place[row] = index; });

function key(row) {
  if (state.key === "path") return place[row];
  if (columns.has(state.key)) return columns.get(state.key).values[row];
  return words(data[state.key], row).join(", ") || null;
}
const marks = {
  "": () => true,
  ok: (row) => words(data.status, row)[0] === "ok",
  failed: (row) => words(data.status, row)[0] !== "ok",
  warned: (row) => data.warnings.of[row].length > 0,
  unwarned: (row) => !data.warnings.of[row].length,
};
const kind = (sentence) => sentence.replace(/\([^)]*\)/g, "").replace(/[\d.,]+/g, "#");

function refresh() {
  const text = state.text.toLowerCase(), { tag, mark, group, low, high } = state;
  const tagged = data.tags.names.indexOf(tag), grouped = data.groups.names.indexOf(group);
  const fits = marks[mark] ?? ((row) => words(data.warnings, row).some((each) => kind(each) === mark));
  order = [];
  for (let row = 0; row < count; row++) {
    if (text && !lowercase[row].includes(text)) continue;
    if (tag && !data.tags.of[row].includes(tagged)) continue;
    if (group && data.groups.of[row][0] !== grouped) continue;
    if ((low !== null || high !== null) && !(scores[row] !== null && scores[row] >= (low ?? -Infinity) && scores[row] <= (high ?? Infinity))) continue;
    if (fits(row)) order.push(row);
  }
  const keys = new Map(order.map((row) => [row, key(row)])), sign = state.down ? -1 : 1;
  order.sort((a, b) => {
    const one = keys.get(a), other = keys.get(b);
    if (one === other) return place[a] - place[b];
    if (one === null || one === undefined) return 1;
    if (other === null || other === undefined) return -1;
    return (one < other ? -1 : 1) * sign;
  });
  const filtered = order.length < count;
  $("found").textContent = filtered ? `${order.length.toLocaleString("en")} of ${plural(count, "image")}` : plural(count, "image");
  $("clear").hidden = !(text || tag || mark || group || low !== null || high !== null);
  $("none").hidden = order.length > 0;
  current = Math.max(0, Math.min(current, order.length - 1));
  head();
  draw(true);
  bars.mark();
  plots.forEach((plot) => plot.draw());
}

// ---- histogram ---------------------------------------------------------------------------------------
const there = scores.filter((score) => score !== null);
const bars = (() => {
  const box = document.querySelector(".bars"), made = [];
  let low = first.low ?? there.reduce((a, b) => Math.min(a, b), Infinity);
  let high = first.high ?? there.reduce((a, b) => Math.max(a, b), -Infinity);
  if (!there.length) { $("histogram").hidden = true; return { mark() {} }; }
  if (!(high > low)) { low -= 0.5; high += 0.5; }
  const number = first.low !== null && first.high !== null && high - low <= 9 && high - low >= 2 ? 4 * (high - low) : 24;
  const width = (high - low) / number, counts = new Array(number).fill(0);
  for (const score of there) counts[Math.max(0, Math.min(number - 1, Math.floor((score - low) / width)))]++;
  const most = Math.max(...counts), digits = Math.max(first.digits, 2);
  counts.forEach((each, index) => {
    const from = index ? low + index * width : Math.min(low, ...there.slice(0, 0)), to = low + (index + 1) * width;
    const range = [index ? from : null, index < number - 1 ? to - 1e-9 : null];
    const label = `${shown(from, digits)} to ${shown(to, digits)}: ${plural(each, "image")}`;
    const bar = el("button", { type: "button", "aria-label": label, title: label, "aria-pressed": "false", "--part": (each / most) * 100, "--least": each ? "2px" : "0px" });
    bar.addEventListener("click", () => {
      const on = state.low === range[0] && state.high === range[1] && (range[0] !== null || range[1] !== null);
      [state.low, state.high] = on ? [null, null] : range;
      show();
    });
    made.push([bar, range]);
    box.append(bar);
  });
  for (let index = 0; index <= 6; index++) document.querySelector(".axis").append(el("span", {}, String(+(low + (index * (high - low)) / 6).toFixed(digits))));
  const sorted = Float64Array.from(there).sort(), middle = sorted.length >> 1;
  const median = sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  $("histogram-about").textContent = `median ${shown(median, first.digits)}, from ${shown(sorted[0], first.digits)} to ${shown(sorted.at(-1), first.digits)}${first.lower ? "; lower is better" : ""}`;
  return { mark() {
    for (const [bar, range] of made) bar.setAttribute("aria-pressed", String((state.low !== null || state.high !== null) && range[0] === state.low && range[1] === state.high));
  } };
})();

// ---- scatter plot ------------------------------------------------------------------------------------
function ticks(low, high) {
  const rough = (high - low) / 5, unit = 10 ** Math.floor(Math.log10(rough)), size = [1, 2, 5, 10].find((each) => each * unit >= rough) * unit;
  const found = [];
  for (let value = Math.ceil(low / size) * size; value <= high; value += size) found.push(+value.toPrecision(12));
  return found;
}
function scatter(figure, index) {
  const { x: across, y: upwards, same } = data.scatters[index], x = columns.get(across), y = columns.get(upwards);
  const canvas = figure.querySelector("canvas"), said = figure.querySelector(".point"), names = data.scatters[index].names;
  const points = [...Array(count).keys()].filter((row) => x && y && x.values[row] !== null && y.values[row] !== null);
  points.sort((a, b) => x.values[a] - x.values[b] || y.values[a] - y.values[b]);
  const span = (column) => {
    const values = points.map((row) => column.values[row]);
    const low = values.reduce((a, b) => Math.min(a, b), Infinity), high = values.reduce((a, b) => Math.max(a, b), -Infinity);
    const room = (high - low || 1) * 0.05;
    return [low - room, high + room];
  };
  if (!points.length) { figure.hidden = true; return { draw() {} }; }
  let [left, right] = span(x), [bottom, top] = span(y), at = -1, spots = [];
  if (same) [left, bottom, right, top] = [Math.min(left, bottom), Math.min(left, bottom), Math.max(right, top), Math.max(right, top)];
  const edge = { left: 58, right: 12, top: 8, bottom: 38 };
  function draw() {
    const width = canvas.clientWidth, height = canvas.clientHeight, ratio = window.devicePixelRatio || 1;
    if (!width) return;
    canvas.width = width * ratio; canvas.height = height * ratio;
    const pen = canvas.getContext("2d"), style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const across = (value) => edge.left + ((value - left) / (right - left)) * (width - edge.left - edge.right);
    const up = (value) => height - edge.bottom - ((value - bottom) / (top - bottom)) * (height - edge.top - edge.bottom);
    pen.scale(ratio, ratio);
    pen.font = `12px ${colour("--font")}`;
    pen.strokeStyle = colour("--line"); pen.fillStyle = colour("--soft");
    const lines = (x0, y0, x1, y1) => { pen.beginPath(); pen.moveTo(x0, y0); pen.lineTo(x1, y1); pen.stroke(); };
    pen.textAlign = "center";
    for (const value of ticks(left, right)) { lines(across(value), up(bottom), across(value), up(top)); pen.fillText(String(value), across(value), height - edge.bottom + 16); }
    pen.textAlign = "right";
    for (const value of ticks(bottom, top)) { lines(across(left), up(value), across(right), up(value)); pen.fillText(String(value), edge.left - 8, up(value) + 4); }
    pen.textAlign = "center"; pen.fillText(names[0].slice(0, 60), (edge.left + width) / 2, height - 4);
    pen.save(); pen.translate(12, (height - edge.bottom) / 2); pen.rotate(-Math.PI / 2); pen.fillText(names[1].slice(0, 40), 0, 0); pen.restore();
    if (same) { pen.setLineDash([4, 4]); lines(across(left), up(left), across(right), up(right)); pen.setLineDash([]); }
    const kept = new Set(order), size = points.length > 3000 ? 1.6 : points.length > 400 ? 2.4 : 3.6;
    spots = points.map((row) => [across(x.values[row]), up(y.values[row])]);
    pen.fillStyle = colour("--accent");
    points.forEach((row, index) => {
      pen.globalAlpha = kept.has(row) ? 0.62 : 0.1;
      const [px, py] = spots[index];
      if (size < 2) pen.fillRect(px - size, py - size, 2 * size, 2 * size);
      else { pen.beginPath(); pen.arc(px, py, size, 0, 7); pen.fill(); }
    });
    pen.globalAlpha = 1;
    canvas.dataset.at = at < 0 ? "" : spots[at].map(Math.round).join();
    if (at >= 0) { pen.strokeStyle = colour("--ink"); pen.lineWidth = 2; pen.beginPath(); pen.arc(spots[at][0], spots[at][1], size + 4, 0, 7); pen.stroke(); }
  }
  function point(index) {
    if (index === at) return;
    at = index;
    const row = points[at];
    said.textContent = at < 0 ? "" : `${base(data.paths[row])}: ${names[0]} ${cell(x, row)}, ${names[1]} ${cell(y, row)}`;
    draw();
  }
  function nearest(event) {
    const box = canvas.getBoundingClientRect(), px = event.clientX - box.left, py = event.clientY - box.top;
    let best = -1, least = 18 * 18;
    spots.forEach(([sx, sy], index) => {
      const distance = (sx - px) ** 2 + (sy - py) ** 2;
      if (distance < least) [best, least] = [index, distance];
    });
    return best;
  }
  canvas.addEventListener("mousemove", (event) => { point(nearest(event)); canvas.style.cursor = at < 0 ? "default" : "pointer"; });
  canvas.addEventListener("mouseleave", () => point(-1));
  canvas.addEventListener("click", (event) => { point(nearest(event)); if (at >= 0) open(points[at], canvas); });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (step) point((at + step + points.length) % points.length);
    else if (event.key === "Enter" && at >= 0) open(points[at], canvas);
    else return;
    event.preventDefault();
  });
  return { draw };
}
const plots = [...document.querySelectorAll(".scatter")].map(scatter);

// ---- tools -------------------------------------------------------------------------------------------
const inputs = {};
const direction = el("button", { type: "button", id: "direction", onclick: () => { state.down = !state.down; show(); } });
let view = data.details ? "grid" : "table";
function build() {
  const form = document.querySelector(".tools");
  const field = (name, label, input) => { inputs[name] = input; return el("label", {}, label, input); };
  const listen = (input, change) => { input.addEventListener("input", () => { change(input.value); show(input); }); return input; };
  const number = (name, label) => listen(el("input", { type: "number", step: "any", "aria-label": label, placeholder: label === "Lowest score" ? "from" : "to" }), (value) => { state[name] = value === "" ? null : Number(value); });
  const choice = (options, change) => listen(el("select", {}, options.map(([value, label]) => el("option", { value }, label))), change);
  const counted = (coded) => {
    const counts = new Array(coded.names.length).fill(0);
    coded.of.forEach((own) => own.forEach((word) => counts[word]++));
    return coded.names.map((name, index) => [name, `${name} (${counts[index].toLocaleString("en")})`]);
  };
  form.addEventListener("submit", (event) => event.preventDefault());
  form.append(field("text", "Find", listen(el("input", { type: "search", placeholder: "part of a path", autocomplete: "off", spellcheck: "false" }), (value) => { state.text = value; })));
  form.append(el("fieldset", { "aria-label": "Range of scores" }, el("label", {}, "Score", (inputs.low = number("low", "Lowest score"))), el("label", {}, "", (inputs.high = number("high", "Highest score")))));
  if (data.tags.names.length) form.append(field("tag", "Tag", choice([["", "all"], ...counted(data.tags).sort()], (value) => { state.tag = value; })));
  const kinds = [...new Set(data.warnings.names.map(kind))];
  if (kinds.length || data.status.names.length > 1) {
    const options = [["", "all"], ["ok", "with a score"], ["failed", "without a score"], ["warned", "with warnings"], ["unwarned", "without warnings"]];
    form.append(field("mark", "Status and warnings", choice([...options, ...kinds.slice(0, 40).map((each) => [each, each])], (value) => { state.mark = value; })));
  }
  if (data.groups.names.length > 1) form.append(field("group", "Group", choice([["", "all"], ...counted(data.groups).map(([name, label]) => [name, label.slice(common < name.length && data.groups.names.every((each) => each.startsWith(data.paths[0].slice(0, common))) ? common : 0)]).sort()], (value) => { state.group = value; })));
  const sorts = [...data.columns.map((column) => [column.key, column.title]), ["path", "path"], ...["tags", "warnings", "groups"].filter((each) => data[each].names.length).map((each) => [each, each])];
  form.append(el("fieldset", {}, field("key", "Sort by", choice(sorts, (value) => sort(value))), direction));
  if (data.details) {
    form.append(el("div", { class: "push", role: "group", "aria-label": "View" }, ["grid", "table"].map((each) =>
      el("button", { type: "button", id: `as-${each}`, onclick: () => { view = each; show(); } }, each === "grid" ? "Pictures" : "Table"))));
  }
  $("clear").addEventListener("click", () => { Object.assign(state, { text: "", tag: "", mark: "", group: "", low: null, high: null }); show(); inputs.text.focus(); });
}
function sort(name, turn = false) {
  state.down = turn && state.key === name ? !state.down : name === "score" ? first.lower : name === "other" ? second.lower : ["disagreement", "difference"].includes(name);
  state.key = name;
}
function show(typed = null) {
  for (const [name, input] of Object.entries(inputs)) {
    if (input !== typed) input.value = ["low", "high"].includes(name) && state[name] !== null ? +state[name].toFixed(4) : state[name] ?? "";
  }
  const best = state.key === "score" ? ["worst first", "best first"] : ["tags", "warnings", "groups", "path"].includes(state.key) ? ["A to Z", "Z to A"] : ["lowest first", "highest first"];
  direction.textContent = best[+(state.key === "score" ? state.down !== first.lower : state.down)];
  for (const each of data.details ? ["grid", "table"] : []) $(`as-${each}`).setAttribute("aria-pressed", String(each === view));
  $("grid").hidden = view !== "grid"; $("table").hidden = view !== "table";
  refresh();
}

// ---- pictures and table: only what is seen is there --------------------------------------------------
const grid = $("grid"), table = $("table"), body = table.querySelector("tbody"), ROW = 36;
let current = 0, cards = new Map(), layout = { across: 1, width: 0, height: 0 };
const name = (row) => el("bdi", {}, base(data.paths[row]));
const failed = (row) => words(data.errors, row)[0] ?? (words(data.status, row)[0] === "ok" ? null : words(data.status, row)[0]);

function card(row, index) {
  const column = columns.get(state.key), error = failed(row), tags = words(data.tags, row), picture = thumbnail(row);
  const score = scores[row] === null || scores[row] === undefined ? null : cell(columns.get("score"), row);
  const beside = columns.has("other") ? `A ${score ?? "–"}, B ${cell(columns.get("other"), row)}` : score;
  const more = column && !["score", "other"].includes(state.key) ? [`${column.title} ${cell(column, row)} ${column.unit}`] : [];
  const says = error ? [el("span", { class: "tag bad" }, words(data.status, row)[0])] : [...more, ...tags.map((tag) => el("span", { class: "tag" }, tag))];
  const warned = !error && data.warnings.of[row].length > 0, width = columns.get("width")?.values[row];
  if (!says.length && !warned && width) says.push(`${width} × ${columns.get("height").values[row]}`);
  if (warned && !tags.length && !more.length) says.push(el("span", { class: "tag bad" }, plural(data.warnings.of[row].length, "warning")));
  return el("button", { type: "button", class: "card", tabindex: index === current ? 0 : -1, title: data.paths[row],
    "aria-label": `${base(data.paths[row])}, ${beside === null ? "no score" : `score ${beside}`}${tags.length ? `, ${tags.join(", ")}` : ""}${error ? `, ${words(data.status, row)[0]}` : ""}` },
    el("span", { class: "shown" }, typeof picture === "string" ? el("img", { src: webp(picture), alt: "", decoding: "async", draggable: "false" }) : el("span", { class: "word" }, picture ? picture[0] : "…"),
      beside === null ? null : el("span", { class: "badge" }, beside)),
    el("span", { class: "about" }, el("span", { class: "name" }, name(row)), el("span", { class: "more" }, says)));
}
function draw(anew = false) {
  if (view === "table") return rows(anew);
  if (anew) { grid.replaceChildren(); cards = new Map(); }
  const width = grid.clientWidth, gap = 12, across = Math.max(1, Math.floor((width + gap) / ((width < 520 ? 148 : 216) + gap)));
  const wide = (width - gap * (across - 1)) / across, high = Math.round(wide * 0.75) + 56;
  layout = { across, width: wide, height: high + gap };
  grid.style.height = `${Math.ceil(order.length / across) * layout.height}px`;
  const top = grid.getBoundingClientRect().top, from = Math.max(0, Math.floor(-top / layout.height) - 2) * across;
  const to = Math.min(order.length, (Math.ceil((window.innerHeight - top) / layout.height) + 2) * across);
  const wanted = new Set();
  for (let index = from; index < to; index++) wanted.add(index);
  if (order.length) wanted.add(current); // which has the focus, or gets it next
  for (const [index, item] of cards) if (!wanted.has(index)) { item.remove(); cards.delete(index); }
  for (const index of [...wanted].sort((a, b) => a - b)) {
    let item = cards.get(index);
    if (!item) {
      item = el("li", { "aria-setsize": order.length, "aria-posinset": index + 1 }, card(order[index], index));
      item.firstChild.addEventListener("click", () => { current = index; open(order[index]); });
      cards.set(index, item);
      const after = [...cards.keys()].filter((each) => each > index).sort((a, b) => a - b)[0];
      grid.insertBefore(item, after === undefined ? null : cards.get(after));
    }
    Object.assign(item.style, { width: `${wide}px`, height: `${high}px`, transform: `translate(${(index % across) * (wide + gap)}px, ${Math.floor(index / across) * layout.height}px)` });
    item.firstChild.tabIndex = index === current ? 0 : -1;
  }
}
function go(index, focus = true) {
  current = Math.max(0, Math.min(order.length - 1, index));
  if (view === "table") {
    const top = current * ROW, head = 40;
    if (top < table.scrollTop || top > table.scrollTop + table.clientHeight - ROW - head) table.scrollTop = top - (table.clientHeight - head) / 2;
    rows(true);
    if (focus) body.querySelector(`[data-index="${current}"]`)?.focus({ preventScroll: true });
    return;
  }
  draw();
  const item = cards.get(current)?.firstChild;
  item?.scrollIntoView({ block: "nearest" });
  if (focus) item?.focus({ preventScroll: true });
}
grid.addEventListener("keydown", (event) => {
  const page = layout.across * Math.max(1, Math.floor(window.innerHeight / layout.height) - 1);
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: layout.across, ArrowUp: -layout.across, PageDown: page, PageUp: -page, Home: -count, End: count }[event.key];
  if (step === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  go(current + step);
});

const listed = ["tags", "warnings", "groups"].filter((each) => data[each].names.length);
function head() {
  const heading = (id, title, help, unit, left) => el("th", { scope: "col", class: left ? "words" : null, "aria-sort": state.key !== id ? null : state.down ? "descending" : "ascending" },
    el("button", { type: "button", title: help || null, "data-key": id, onclick: () => { sort(id, true); show(); table.querySelector(`[data-key="${id}"]`).focus(); } },
      `${title}${unit ? ` (${unit})` : ""}${state.key !== id ? "" : state.down ? " ↓" : " ↑"}`));
  table.querySelector("thead").replaceChildren(el("tr", {}, heading("path", "path", "", "", true),
    data.columns.map((column) => heading(column.key, column.title, column.help, column.unit)),
    listed.map((each) => heading(each, each, "", "", true)), el("th", { scope: "col" }, el("button", { type: "button", disabled: true }, "file"))));
}
let drawn = "";
function rows(anew) {
  const from = Math.max(0, Math.floor(table.scrollTop / ROW) - 10), to = Math.min(order.length, from + Math.ceil(table.clientHeight / ROW) + 22);
  if (!anew && drawn === `${from} ${to}`) return;
  drawn = `${from} ${to}`;
  const focused = document.activeElement?.dataset?.index;
  const across = data.columns.length + listed.length + 2;
  const space = (high) => high > 0 ? el("tr", { class: "space", "aria-hidden": "true" }, el("td", { colspan: across }, Object.assign(el("div"), { style: "" }))) : null;
  const above = space(from), below = space(order.length - to);
  if (above) above.firstChild.style.height = `${from * ROW}px`;
  if (below) below.firstChild.style.height = `${(order.length - to) * ROW}px`;
  body.replaceChildren(...[above, ...order.slice(from, to).map((row, offset) => el("tr", { "aria-rowindex": from + offset + 2 },
    el("td", {}, el("button", { type: "button", class: "open", "data-index": from + offset, title: data.paths[row], onclick: () => { current = from + offset; open(row); } }, el("bdi", {}, short(data.paths[row])))),
    data.columns.map((column) => el("td", {}, column.key === "score" && failed(row) ? words(data.status, row)[0] : cell(column, row))),
    listed.map((each) => { const text = words(data[each], row).join("; "); return el("td", { class: "words", title: text }, text); }),
    el("td", {}, data.links[row] ? el("a", { href: data.links[row], "aria-label": `open the file ${base(data.paths[row])}` }, "open") : ""))), below].filter(Boolean));
  if (anew) rows(false); // an empty table has no height: now it is known how many rows are seen
  table.firstElementChild.setAttribute("aria-rowcount", order.length + 1);
  if (focused !== undefined) body.querySelector(`[data-index="${focused}"]`)?.focus({ preventScroll: true });
}
table.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1, Home: -count, End: count }[event.key];
  if (step === undefined || !event.target.dataset.index) return;
  event.preventDefault();
  go(Number(event.target.dataset.index) + step);
});
