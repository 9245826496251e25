// Writes a PNG of every state of the page, and one contact sheet of all of them, for `make pictures`.

import { mkdir, rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import { launch } from "./browsers.mjs";
import { serve } from "./server.mjs";
import { states } from "./states.mjs";

const FOLDER = fileURLToPath(new URL("../../target/pictures/", import.meta.url));
const LOOKS = [[320, "light", "en"], [390, "dark", "en"], [390, "light", "de"], [1280, "light", "en"]];

await rm(FOLDER, { recursive: true, force: true });
await mkdir(FOLDER, { recursive: true });
const server = await serve();
const browser = await launch("chrome");
const rows = [];
for (const [state, reach] of [...Object.entries(states), ["without-javascript", withoutJavaScript]]) {
  const cells = [];
  for (const [width, scheme, language] of LOOKS) {
    const page = await browser.newPage();
    await page.evaluateOnNewDocument((tag) => Object.defineProperty(navigator, "languages", { value: [tag] }), language);
    await page.setViewport({ width, height: 640 });
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
    await reach(page, server.url);
    const name = `${state}-${width}-${scheme}-${language}.png`;
    await page.screenshot({ path: FOLDER + name, fullPage: true });
    await page.close();
    cells.push(`<td><img src="${name}" width="${Math.min(width, 390)}"><br>${width} px, ${scheme}, ${language}</td>`);
  }
  rows.push(`<tr><th>${state}</th>${cells.join("")}</tr>`);
  console.log(state);
}
await writeFile(`${FOLDER}index.html`, `<!doctype html><meta charset="utf-8"><title>Every state of the page</title>
<style>body { font: 14px sans-serif } td, th { vertical-align: top; padding: 8px } img { border: 1px solid #888 }</style>
<table>${rows.join("\n")}</table>`);
const sheet = await browser.newPage();
await sheet.setViewport({ width: 1750, height: 800 });
await sheet.goto(`file://${FOLDER}index.html`);
await sheet.screenshot({ path: `${FOLDER}contact-sheet.png`, fullPage: true });
await browser.close();
server.close();
console.log("Wrote target/pictures/index.html and target/pictures/contact-sheet.png");

async function withoutJavaScript(page, url) {
  await page.setJavaScriptEnabled(false);
  await page.goto(url);
}
