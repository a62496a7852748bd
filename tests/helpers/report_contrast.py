"""Contrast of what a page shows, as WCAG 2 measures it (level AA)."""

from selenium import webdriver

_SCRIPT = """
function rgba(text) {
  const numbers = text.match(/-?[\\d.]+/g).map(Number);
  const scale = text.startsWith('color(') ? 255 : 1;
  const [r, g, b, a = 1] = numbers;
  return [r * scale, g * scale, b * scale, a];
}
function luminance([r, g, b]) {
  const [x, y, z] = [r, g, b].map(value => {
    value /= 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * x + 0.7152 * y + 0.0722 * z;
}
function over([r, g, b, a], [x, y, z]) {
  return [r * a + x * (1 - a), g * a + y * (1 - a), b * a + z * (1 - a)];
}
function background(element) {
  if (!element) return [255, 255, 255];
  const own = rgba(getComputedStyle(element).backgroundColor);
  return own[3] === 1 ? own : over(own, background(element.parentElement));
}
function contrast(colour, behind) {
  const [first, second] = [over(colour, behind), behind].map(luminance);
  return (Math.max(first, second) + 0.05) / (Math.min(first, second) + 0.05);
}
const poor = [];
function look(element, colour, least) {
  const ratio = contrast(rgba(colour), background(element));
  const text = element.textContent.trim().slice(0, 40);
  const what = element.tagName + ' "' + (text || element.getAttribute('class'));
  if (ratio < least) poor.push(what + '" ' + ratio.toFixed(2));
}
const seen = { texts: 0, lines: 0 };
for (const element of document.body.querySelectorAll('*')) {
  const style = getComputedStyle(element);
  if (!element.getClientRects().length || style.opacity === '0') continue;
  if (element.closest('#detail .picture > div > svg')) continue; // on a photograph
  const texts = [...element.childNodes].some(
    node => node.nodeType === Node.TEXT_NODE && node.data.trim());
  if (texts && !element.disabled) {
    seen.texts++;
    look(element, element instanceof SVGElement ? style.fill : style.color, 4.5);
  }
  if (element.matches('.curve, .phrase-box, .target-box, .region-box')) {
    seen.lines++;
    look(element, style.stroke, 3);
  }
}
if (seen.texts < 300 || seen.lines < 4) poor.push(JSON.stringify(seen));
return poor;
"""


def poor_contrasts(page: webdriver.Chrome) -> list[str]:
    """Texts below 4.5 to 1 and lines of charts below 3 to 1, with what they are.

    Texts on photographs are left out. A page that shows hardly any text is a fault too.
    """
    return page.execute_script(_SCRIPT)
