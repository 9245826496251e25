// Writes a PNG of every state of the page, and one contact sheet of all of them, for `make pictures`. It also draws the
// pictures of the README: the page, and the email of the journeys' snapshot.

import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import { launch } from "./browsers.mjs";
import { serve } from "./server.mjs";
import { states } from "./states.mjs";

const FOLDER = fileURLToPath(new URL("../../target/pictures/", import.meta.url));
const README_FOLDER = fileURLToPath(new URL("../../docs/pictures/", import.meta.url));
const EMAIL = new URL("../journeys/snapshots/journeys__emails__link_html.snap", import.meta.url);
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
await drawReadme();
await browser.close();
server.close();
console.log("Wrote target/pictures/index.html and target/pictures/contact-sheet.png");

async function drawReadme() {
  await mkdir(README_FOLDER, { recursive: true });
  const [, , email] = (await readFile(EMAIL, "utf8")).split(/^---$/m);
  const page = await browser.newPage();
  await page.setViewport({ width: 520, height: 450, deviceScaleFactor: 2 });
  await states.forgot(page, server.url);
  await page.screenshot({ path: `${README_FOLDER}page.png` });
  await page.goto("about:blank");
  await page.setContent(email);
  await page.screenshot({ path: `${README_FOLDER}email.png`, fullPage: true });
  await page.close();
}

async function withoutJavaScript(page, url) {
  await page.setJavaScriptEnabled(false);
  await page.goto(url);
}
