// What code can tell of WCAG 2.2: 1.1.1, 1.3.1, 1.4.3, 2.4.1, 2.4.2, 2.4.6, 2.5.8, 3.1.1, 3.3.2, 4.1.2.
() => {
  const found = [];
  const seen = (one) => one.checkVisibility({ checkVisibilityCSS: true, checkOpacity: true });
  const where = (one) => `${one.localName}${one.id ? "#" + one.id : ""}${typeof one.className === "string" && one.className ? "." + one.className.split(" ").join(".") : ""} "${(one.textContent || "").trim().slice(0, 40)}"`;
  const words = (one) => {
    const by = (one.getAttribute("aria-labelledby") || "").split(/\s+/).filter(Boolean).map((id) => document.getElementById(id)?.textContent ?? "").join(" ");
    const labels = one.labels ? [...one.labels].map((label) => label.textContent).join(" ") : "";
    const pictures = [...one.querySelectorAll("img[alt], svg[aria-label]")].map((p) => p.getAttribute("alt") || p.getAttribute("aria-label")).join(" ");
    return (by || one.getAttribute("aria-label") || labels || one.textContent + pictures || one.getAttribute("title") || "").trim();
  };
  if (!document.title.trim()) found.push("no title");
  if (!document.documentElement.lang) found.push("no language");
  if (document.querySelectorAll("main").length !== 1) found.push("not one main");
  if (document.querySelectorAll("h1").length !== 1) found.push("not one h1");
  const ids = [...document.querySelectorAll("[id]")].map((one) => one.id);
  for (const id of new Set(ids)) if (ids.filter((other) => other === id).length > 1) found.push(`id twice: ${id}`);
  let level = 0;
  for (const one of document.querySelectorAll("main h1, main h2, main h3, main h4")) {
    if (!seen(one)) continue;
    const next = Number(one.localName[1]);
    if (next > level + 1) found.push(`heading leaps: ${where(one)}`);
    level = next;
  }
  for (const one of document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary, video, audio, progress, meter, [role=region], nav, iframe"))
    if (seen(one) && !words(one)) found.push(`no name: ${where(one)}`);
  for (const one of document.querySelectorAll("input:not([type=hidden]), select, textarea"))
    if (seen(one) && !(one.labels?.length || one.getAttribute("aria-label") || one.getAttribute("aria-labelledby"))) found.push(`no label: ${where(one)}`);
  for (const one of document.querySelectorAll("img")) if (one.getAttribute("alt") === null) found.push(`no alternative: ${one.src}`);
  for (const one of document.querySelectorAll("[aria-labelledby], [aria-describedby], [aria-controls], label[for]"))
    for (const name of ["aria-labelledby", "aria-describedby", "aria-controls", "for"])
      for (const id of (one.getAttribute(name) || "").split(/\s+/).filter(Boolean))
        if (!document.getElementById(id)) found.push(`${name} leads nowhere: ${id}`);
  for (const one of document.querySelectorAll("table")) if (!one.caption && !one.getAttribute("aria-label")) found.push(`table without a caption: ${where(one)}`);
  for (const one of document.querySelectorAll("[tabindex]")) if (one.tabIndex > 0) found.push(`tab order: ${where(one)}`);
  const inline = [...document.querySelectorAll("[style]")].filter((one) => !one.closest("svg"));
  for (const one of inline) found.push(`inline style: ${where(one)}`);

  const paint = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => { paint.clearRect(0, 0, 1, 1); paint.fillStyle = colour; paint.fillRect(0, 0, 1, 1); const [r, g, b, a] = paint.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255]; };
  const over = (top, under) => top.slice(0, 3).map((c, i) => c * top[3] + under[i] * (1 - top[3]));
  const behind = (one) => {
    const layers = [];
    for (let box = one; box; box = box.parentElement) { const colour = rgba(getComputedStyle(box).backgroundColor); layers.push(colour); if (colour[3] === 1) break; }
    return layers.reverse().reduce((under, top) => over(top, under), rgba(getComputedStyle(document.documentElement).backgroundColor).slice(0, 3));
  };
  const light = (colour) => { const [r, g, b] = colour.map((c) => { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const judged = new Set();
  while (texts.nextNode()) {
    const one = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || judged.has(one) || !seen(one) || one.closest("script, style, noscript, option, svg, .unseen, progress, meter, :disabled")) continue;
    judged.add(one);
    const style = getComputedStyle(one), under = behind(one), ink = over(rgba(style.color), under);
    const [high, low] = [light(ink), light(under)].sort((a, b) => b - a), ratio = (high + 0.05) / (low + 0.05);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) found.push(`contrast ${ratio.toFixed(2)}: ${where(one)}`);
    if (size < 11.9) found.push(`small print ${size}px: ${where(one)}`);
  }
  for (const one of document.querySelectorAll("button, .button, input[type=checkbox], input[type=radio], summary, nav a")) {
    const box = one.getBoundingClientRect();
    if (seen(one) && !one.closest(".unseen") && one.labels?.length !== 1 && Math.min(box.width, box.height) < 23.5) found.push(`small target ${box.width.toFixed(0)}x${box.height.toFixed(0)}: ${where(one)}`);
  }
  if (document.documentElement.scrollWidth > document.documentElement.clientWidth) found.push(`wider than the screen: ${document.documentElement.scrollWidth}`);
  return found;
}
