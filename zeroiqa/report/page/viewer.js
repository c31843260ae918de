// One image: its picture, regions, ratings and levels. It goes on where images.js ends; page.py joins them.
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
    el("div", { class: "stage" }, stage(row, found, detail), partner(row, found)),
    el("aside", { class: "side", "aria-label": "Why this score" }, side(row, found, detail, run))));
  reachable();
}
/** A wide table of many raters is scrolled by keys once it has the focus. */
function reachable() {
  for (const part of viewer.querySelectorAll(".scroll")) part.tabIndex = part.scrollWidth > part.clientWidth ? 0 : -1;
}
/** The other image of a pair, where the two runs are of other images. */
function partner(row, found) {
  const [path, address] = data.others?.[row] ?? [];
  if (!path) return null;
  const picture = found?.other ? el("img", { src: webp(found.other), alt: `B: ${base(path)}` }) : el("p", {}, "no picture");
  return el("figure", { class: "other" }, picture, el("figcaption", {}, "B: ", address ? el("a", { href: address }, el("bdi", {}, path)) : el("bdi", {}, path)));
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
  if (detail?.shares) parts.push(el("div", {}, el("p", { class: "big" }, el("strong", { id: "score" }, total(detail, which)), el("span", {}, [scale, run.lower ? "lower is better" : ""].filter(Boolean).join(", "))), sum(detail, run)));
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
      answers.map((answer) => el("td", {}, chart(answer.views[index], `${text}, ${answer.rater}${several ? `, ${answer.label}` : ""}`, run.words[answer.label] ?? []))));
    return link(row, index);
  };
  return el("table", { class: "views" }, el("thead", {}, el("tr", {}, ["", "rating", "area", shares ? "adds" : null].filter((each) => each !== null).map((each) => el("th", { scope: "col" }, each)),
    answers.map((answer) => el("th", { scope: "col", class: "rater" }, many ? `${answer.rater}${several ? `, ${answer.label}` : ""}` : "levels")))),
    el("tbody", {}, [...Array(regions.length + 1).keys()].map(line)));
}
function chart(view, label, meanings) {
  if (!view) return "no answer";
  if (!view.levels) return view.value === undefined ? "–" : shown(view.value, 3);
  const most = Math.max(...view.levels), wide = 56 / view.levels.length;
  const word = (level) => `${level + 1}${meanings.length === view.levels.length ? ` ${meanings[level]}` : ""}`;
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
