"use strict";
(() => {
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

  // ---- one image ---------------------------------------------------------------------------------------
  const viewer = $("viewer");
  let back = null, which = 0, opened = -1, hidden = false;
  function open(row, from = null) {
    back = from;
    which = 0;
    fill(row);
    if (!viewer.open) viewer.showModal();
    reachable();
    viewer.querySelector("#close").focus();
  }
  function step(by) {
    const index = order.indexOf(opened), next = index < 0 ? order[0] : order[index + by];
    if (next === undefined) return;
    current = order.indexOf(next);
    const held = document.activeElement?.id;
    fill(next);
    (viewer.querySelector(`#${["previous", "next"].includes(held) ? held : "close"}`) ?? viewer.querySelector("#close")).focus();
  }
  viewer.addEventListener("close", () => {
    if (viewer.open) return; // opened again before this was heard
    viewer.replaceChildren(); if (back) back.focus(); else go(current);
  });
  viewer.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || /^(INPUT|SELECT)$/.test(event.target.tagName)) return;
    if (event.target.matches(".scroll")) return; // its own arrow keys
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (by) { event.preventDefault(); step(by); }
  });
  const hold = (index) => viewer.querySelectorAll("[data-region]").forEach((part) => part.classList.toggle("lit", part.dataset.region === String(index)));
  function link(part, index) {
    part.dataset.region = index;
    for (const event of ["mouseenter", "focusin"]) part.addEventListener(event, () => { hold(index); viewer.querySelector(".picture").classList.toggle("quiet", index > 0); });
    for (const event of ["mouseleave", "focusout"]) part.addEventListener(event, () => { hold(-1); viewer.querySelector(".picture").classList.remove("quiet"); });
    return part;
  }
  const called = (region, index) => region.kind === "complement" ? "the rest" : `region ${index + 1}`;

  function fill(row) {
    opened = row;
    const found = block(`image-${row}`), detail = found?.runs[which] ?? null, index = order.indexOf(row), run = data.runs[which];
    const button = (id, label, text, act, off) => el("button", { type: "button", id, "aria-label": label, title: label, disabled: off, onclick: act }, text);
    const original = data.links[row];
    viewer.replaceChildren(el("div", { class: "view" },
      el("div", { class: "bar" },
        button("previous", "Previous image (left arrow)", "←", () => step(-1), index <= 0), button("next", "Next image (right arrow)", "→", () => step(1), index < 0 || index === order.length - 1),
        el("h2", { id: "viewer-name", title: data.paths[row] }, name(row)),
        index < 0 ? null : el("span", { class: "place" }, `${(index + 1).toLocaleString("en")} of ${order.length.toLocaleString("en")}`),
        detail?.regions?.length ? el("button", { type: "button", id: "regions", "aria-pressed": String(!hidden), onclick: (event) => {
          hidden = !hidden;
          event.target.setAttribute("aria-pressed", String(!hidden));
          viewer.querySelector(".picture").classList.toggle("plain", hidden);
        } }, "Regions") : null,
        original ? el("a", { href: original, id: "original" }, "original") : null,
        button("close", "Close (Escape)", "✕", () => viewer.close())),
      el("div", { class: "stage" }, stage(row, found, detail)),
      el("aside", { class: "side", "aria-label": "Why this score" }, side(row, found, detail, run))));
    reachable();
  }
  /** A wide table of many raters is scrolled by keys once it has the focus. */
  function reachable() {
    for (const part of viewer.querySelectorAll(".scroll")) part.tabIndex = part.scrollWidth > part.clientWidth ? 0 : -1;
  }
  function stage(row, found, detail) {
    const size = [columns.get("width")?.values[row], columns.get("height")?.values[row]], thumb = data.details ? thumbnail(row) : null;
    const small = found?.preview || (typeof thumb === "string" ? thumb : "");
    if (!small) return el("div", { class: "picture" }, el("p", {}, Array.isArray(thumb) ? `no picture: ${thumb[0]}` : "no picture"));
    const alt = `${base(data.paths[row])}`;
    if (!size[0]) return el("div", { class: "picture" }, el("img", { src: webp(small), alt }));
    const regions = detail?.regions ?? [], box = `0 0 ${size[0]} ${size[1]}`, narrow = window.innerWidth <= 860;
    const room = [narrow ? window.innerWidth - 24 : window.innerWidth - 520, narrow ? Infinity : window.innerHeight - 250];
    const unit = (narrow ? 11 : 14) / Math.min(room[0] / size[0], room[1] / size[1]);
    const whole = el("image", { href: webp(small), width: size[0], height: size[1], preserveAspectRatio: "none" });
    const byArea = [...regions.keys()].sort((a, b) => regions[b].area - regions[a].area);
    const picture = el("svg", { viewBox: box, role: "group", "aria-label": `${alt} with its regions` }, whole,
      byArea.map((index) => outline(regions[index], index, detail)), byArea.map((index) => plate(regions[index], index, detail, unit, size)));
    const said = el("p", { class: "shows", id: "shows" });
    sharpen(row, whole, size, said);
    const strip = regions.map((region, index) => {
      const [x0, y0, x1, y1] = region.box;
      return link(el("button", { type: "button", class: "crop", "--hue": hue(index), "aria-label": `${called(region, index)}: rating ${shown(detail.levels?.[index + 1], 2)}, area ${percent(region.area)}` },
        el("svg", { viewBox: `${x0} ${y0} ${x1 - x0} ${y1 - y0}`, preserveAspectRatio: "xMidYMid slice", "aria-hidden": "true" }, whole.cloneNode()),
        el("span", { class: "badge" }, shown(detail.levels?.[index + 1], 2)), el("span", { class: "badge low" }, percent(region.area))), index + 1);
    });
    return [el("div", { class: `picture${hidden ? " plain" : ""}`, "--ratio": `${size[0]} / ${size[1]}` }, picture, detail?.shares && !regions.length ? el("span", { class: "badge" }, total(detail, which)) : null), said, strip.length ? el("div", { class: "crops", role: "group", "aria-label": "Regions" }, strip) : null].filter(Boolean);
  }
  /** Say at which size the picture is here, and show the original in its place where it can be loaded. */
  function sharpen(row, picture, size, said) {
    const here = new Image();
    here.addEventListener("load", () => {
      said.textContent = `a preview of ${here.naturalWidth} × ${here.naturalHeight} pixels; the image has ${size[0]} × ${size[1]}`;
      if (!data.links[row]) return;
      const large = new Image();
      large.addEventListener("load", () => {
        if (large.naturalWidth !== size[0] || large.naturalHeight !== size[1]) return; // another file by now
        viewer.querySelectorAll("image").forEach((each) => { if (opened === row) each.setAttribute("href", large.src); });
        said.textContent = "the original file";
      });
      large.src = data.links[row];
    });
    here.src = picture.getAttribute("href");
  }
  function outline(region, index, detail) {
    const [x0, y0, x1, y1] = region.box, colour = hue(index), path = region.outline || `M${x0} ${y0}H${x1}V${y1}H${x0}Z`;
    const text = `${called(region, index)}, rating ${shown(detail.levels?.[index + 1], 2)}, area ${percent(region.area)}`;
    return link(el("g", { class: "region", tabindex: 0, role: "img", "aria-label": text }, el("title", {}, text), el("path", { class: "edge", d: path }),
      el("path", { class: "outline", d: path, stroke: colour, fill: colour, "fill-opacity": region.outline ? 0.12 : 0.03, "fill-rule": "evenodd" })), index + 1);
  }
  /** The region's rating, in the middle of its mask or in the upper left corner of its box. */
  function plate(region, index, detail, unit, size) {
    const text = shown(detail.levels?.[index + 1], 2), width = unit * (0.62 * text.length + 0.5), high = unit * 1.35;
    const [left, top] = region.at ? [region.at[0] - width / 2, region.at[1] - high / 2] : region.box;
    const x = Math.max(0, Math.min(left, size[0] - width)), y = Math.max(0, Math.min(top, size[1] - high));
    return el("g", { class: "region", "data-region": index + 1, "aria-hidden": "true" }, el("rect", { class: "plate", x, y, width, height: high, rx: unit / 6 }),
      el("text", { x: x + unit * 0.25, y: y + unit * 1.02, "font-size": unit }, text));
  }
  const total = (detail, run) => shown(detail.shares.reduce((sum, share) => sum + share, 0), data.runs[run].digits);

  function side(row, found, detail, run) {
    const error = failed(row), parts = [];
    if (data.runs.length > 1) parts.push(el("div", { class: "push", role: "group", "aria-label": "Run" }, data.runs.map((each, index) =>
      el("button", { type: "button", id: `run-${index}`, "aria-pressed": String(index === which), onclick: () => { which = index; fill(row); viewer.querySelector(`#run-${index}`).focus(); } }, `${"AB"[index]} ${each.name}`))));
    const scale = run.low === null ? "" : run.high === null ? `on a scale from ${run.low}` : `on a scale from ${run.low} to ${run.high}`;
    if (detail?.shares) parts.push(el("div", {}, el("p", { class: "big" }, el("strong", { id: "score" }, total(detail, which)), el("span", {}, `${scale}${run.lower ? ", lower is better" : ""}`)), sum(detail, run)));
    else if (error) parts.push(el("p", { class: "bad" }, error));
    else if (scores[row] !== null) parts.push(el("p", { class: "big" }, el("strong", { id: "score" }, cell(columns.get("score"), row)), el("span", {}, scale)));
    const tags = words(data.tags, row);
    if (tags.length) parts.push(el("p", {}, tags.map((tag) => el("span", { class: "tag" }, tag))));
    if (detail?.description) parts.push(el("p", { class: "said" }, detail.description));
    const warnings = words(data.warnings, row);
    if (warnings.length) parts.push(el("ul", { class: "warn", "aria-label": "Warnings" }, warnings.map((warning) => el("li", {}, warning))));
    if (detail?.answers?.length) parts.push(el("div", {}, el("h3", {}, "Whole image and regions"), el("div", { class: "scroll", role: "group", "aria-label": "Ratings" }, views(detail, run))));
    if (detail?.reasons) parts.push(el("div", {}, el("h3", {}, "Questions, the worst first"), el("dl", { class: "pairs" }, Object.entries(detail.reasons).flatMap(([question, value]) => [el("dt", {}, question), el("dd", {}, shown(value, 2))]))));
    const known = data.columns.filter((column) => column.values[row] !== null && !["width", "height", "regions"].includes(column.key) && (column.key !== "score" || data.runs.length > 1));
    const size = [columns.get("width")?.values[row], columns.get("height")?.values[row]];
    parts.push(el("div", {}, el("h3", {}, "Values"), el("dl", { class: "pairs" }, known.flatMap((column) => [el("dt", { title: column.help || null }, column.title), el("dd", {}, `${cell(column, row)} ${column.unit}`)]),
      size[0] ? [el("dt", {}, "size"), el("dd", {}, `${size[0]} × ${size[1]} px`)] : [], words(data.groups, row).flatMap((group) => [el("dt", {}, "group"), el("dd", {}, el("bdi", {}, group))]),
      el("dt", {}, "path"), el("dd", {}, data.links[row] ? el("a", { href: data.links[row] }, el("bdi", {}, data.paths[row])) : el("bdi", {}, data.paths[row])))));
    return parts;
  }
  function sum(detail, run) {
    const { shares, regions } = detail, size = shares.reduce((all, share) => all + Math.abs(share), 0) || 1;
    const label = (index) => index ? called(regions[index - 1], index - 1) : "whole image";
    const counting = shares.some((share, index) => index && share);
    const stack = el("div", { class: "stack", role: "img", "aria-label": shares.map((share, index) => `${label(index)} ${shown(share, run.digits)}`).join(", ") },
      shares.map((share, index) => link(Object.assign(el("i", { title: `${label(index)} ${shown(share, run.digits)}`, "--hue": index ? hue(index - 1) : "var(--bar)" })), index)));
    [...stack.children].forEach((part, index) => { part.style.width = `${(Math.abs(shares[index]) / size) * 100}%`; });
    if (!regions.length) return null;
    if (!counting) return [stack, el("p", { class: "sum" }, el("b", {}, `${total(detail, which)} = ${shown(shares[0], run.digits)} whole image`), `; regions count for nothing here (lambda ${run.lambda})${detail.made ? ", and were made for this page" : ""}`)].reduce((box, part) => { box.append(part); return box; }, el("div"));
    const part = (index) => el("span", { class: "term" }, el("i", { class: "dot", "--hue": hue(index) }), shown(shares[index + 1], run.digits));
    const terms = regions.map((_, index) => [index ? " + " : "", link(part(index), index + 1)]).flat();
    const local = shares.slice(1).reduce((all, share) => all + share, 0);
    return el("div", {}, stack, el("p", { class: "sum", id: "sum" }, el("b", {}, total(detail, which)), " = ", el("b", {}, shown(shares[0], run.digits)), " whole image + ", el("b", {}, shown(local, run.digits)), " regions"),
      el("p", { class: "sum", id: "terms" }, shown(local, run.digits), " = ", terms));
  }
  function views(detail, run) {
    const { regions, answers, levels } = detail, shares = detail.shares?.some((share, index) => index && share) ? detail.shares : null, many = answers.length > 1, several = new Set(answers.map((each) => each.label)).size > 1;
    const line = (index) => {
      const region = regions[index - 1], text = index ? called(region, index - 1) : "whole image";
      const row = el("tr", {}, el("td", {}, el("button", { type: "button", class: "pick" }, el("i", { class: "dot", "--hue": index ? hue(index - 1) : "var(--bar)" }), text)),
        el("td", {}, shown(levels?.[index], 2)), el("td", {}, region ? percent(region.area) : ""), shares ? el("td", {}, shown(shares[index], run.digits)) : null,
        answers.map((answer) => el("td", {}, chart(answer.views[index], `${text}, ${answer.rater}`, run))));
      return link(row, index);
    };
    return el("table", { class: "views" }, el("thead", {}, el("tr", {}, ["", "rating", "area", shares ? "adds" : null].filter((each) => each !== null).map((each) => el("th", { scope: "col" }, each)),
      answers.map((answer) => el("th", { scope: "col", class: "rater" }, many ? `${answer.rater}${several ? `, ${answer.label}` : ""}` : "levels")))),
      el("tbody", {}, [...Array(regions.length + 1).keys()].map(line)));
  }
  function chart(view, label, run) {
    if (!view) return "no answer";
    if (!view.levels) return view.value === undefined ? "–" : shown(view.value, 3);
    const most = Math.max(...view.levels), wide = 56 / view.levels.length;
    const word = (level) => `${level + 1}${run.words[level] && run.words.length === view.levels.length ? ` ${run.words[level]}` : ""}`;
    const text = `${label}: ${view.levels.map((share, level) => `${word(level)} ${percent(share)}`).join(", ")}${view.mass === undefined ? "" : `; mass ${view.mass}`}${view.answer === undefined ? "" : `; answered “${view.answer}”`}`;
    return [el("svg", { class: "levels", viewBox: "0 0 56 26", role: "img", "aria-label": text }, el("title", {}, text), el("line", { x1: 0, x2: 56, y1: 25.5, y2: 25.5 }),
      view.levels.map((share, level) => el("rect", { class: share === most ? "most" : null, x: level * wide + 0.7, width: wide - 1.4, y: 25 - 24 * share, height: Math.max(0.6, 24 * share) }))),
      view.mass !== undefined ? el("small", {}, `mass ${view.mass}`) : null].filter((each) => each !== null)
      .reduce((box, part) => { box.append(part); return box; }, el("span"));
  }

  // ---- begin -------------------------------------------------------------------------------------------
  build();
  show();
  let waiting = false;
  const soon = (work) => { if (!waiting) { waiting = true; requestAnimationFrame(() => { waiting = false; work(); }); } };
  window.addEventListener("scroll", () => soon(() => { if (view === "grid") draw(); }), { passive: true });
  table.addEventListener("scroll", () => soon(() => rows(false)), { passive: true });
  window.addEventListener("resize", () => soon(() => { draw(view === "table"); plots.forEach((plot) => plot.draw()); }));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plots.forEach((plot) => plot.draw()));
  document.addEventListener("DOMContentLoaded", () => draw(true));
  performance.mark("interactive"); // which scripts/bench_report.py reads
})();
