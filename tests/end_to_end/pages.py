"""What is asked of every page in a browser, as JavaScript."""

FITS = "document.documentElement.scrollWidth <= window.innerWidth"

# Text that does not stand out from what is behind it by 4.5 to 1 (WCAG 2, 1.4.3).
FAINT = """(() => {
  const rgb = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const behind = (element) => {
    for (; element; element = element.parentElement) {
      const colour = rgb(getComputedStyle(element).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const linear = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) =>
    0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  let seen = 0;
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement, text = texts.currentNode.textContent.trim();
    if (!text || !element.getClientRects().length) continue;
    seen += 1;
    const lights = [light(rgb(getComputedStyle(element).color)), light(behind(element))];
    const [bright, dark] = lights.sort((a, b) => b - a);
    if ((bright + 0.05) / (dark + 0.05) < 4.5) found.push(`${element.tagName}: ${text}`);
  }
  return seen > 10 ? found : ["hardly any text"];
})()"""

# What is serious or critical to the checker, and whatever it says of headings: a level that is left
# out is only "moderate" to it.
FINDINGS = """(async () => {
  for (const fold of document.querySelectorAll("details")) fold.open = true;
  const found = await axe.run(document, {resultTypes: ["violations"]});
  const grave = (rule) => ["serious", "critical"].includes(rule.impact);
  const said = (rule, node) => `${rule.id}: ${node.target.join(" ")}: ${node.html.slice(0, 150)}`;
  return found.violations.filter((rule) => grave(rule) || rule.id.includes("heading"))
    .flatMap((rule) => rule.nodes.map((node) => said(rule, node)));
})()"""


def findings(browser, axe: str) -> list[str]:
    """What the checker finds on the open page, all unfolded: rule, place, and the element."""
    browser.run(f"{axe}; 0")
    return browser.run(FINDINGS)


def walk_the_tour(browser) -> None:
    """Take the guided tour of the open view to its end by keyboard: three to six steps."""
    browser.run("document.querySelector('.head button:not([hidden])').focus()")
    browser.press("Enter")
    steps = int(browser.text(".tour .quiet").split()[-1])
    assert 3 <= steps <= 6
    for _ in range(steps):
        assert browser.run("document.querySelectorAll('.marked').length") == 1
        browser.run("document.querySelector('.tour button.main').focus()")
        browser.press("Enter")
    assert browser.run("document.querySelector('.tour').hidden")
