// Every text that is seen, with a contrast below that of WCAG 2 level AA (1.4.3): 4.5, or 3 for large text.
const rgba = (text) => { const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number); return [r, g, b, a]; };
const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
const light = (colour) => colour.slice(0, 3).map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (element) => {
  const layers = [];
  for (let each = element; each; each = each.parentElement) {
    const colour = rgba(getComputedStyle(each).backgroundColor);
    if (getComputedStyle(each).backgroundColor.startsWith("color(")) continue;
    layers.push(colour);
    if (colour[3] === 1) break;
  }
  return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
};
const dialog = document.querySelector("dialog[open]");
const found = [];
for (const element of (dialog ?? document.body).querySelectorAll("*")) {
  const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
  const box = element.getBoundingClientRect(), style = getComputedStyle(element);
  if (!own || !box.width || element.closest("svg, script, style, option, .skip") || element.disabled) continue;
  const below = behind(element), above = over(rgba(style.color), below), size = parseFloat(style.fontSize);
  const [dark, bright] = [light(above), light(below)].sort((a, b) => a - b), ratio = (bright + 0.05) / (dark + 0.05);
  const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
  if (ratio < (large ? 3 : 4.5)) found.push(`${element.tagName}.${element.className} ${ratio.toFixed(2)} ${element.textContent.trim().slice(0, 30)}`);
}
return found;
