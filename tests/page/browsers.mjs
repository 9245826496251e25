// The browsers that the tests drive. Both must be installed on the system: nothing is downloaded.

import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";

const tools = createRequire(new URL("../../target/tools/page/package.json", import.meta.url));
const { default: puppeteer } = await import(tools.resolve("puppeteer-core"));

export const AXE = tools.resolve("axe-core/axe.min.js");

const NAMES = {
  chrome: ["chromium", "chromium-browser", "google-chrome"],
  firefox: ["firefox-esr", "firefox"],
};
const ARGUMENTS = {
  chrome: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"],
  firefox: [],
};

export function launch(browser) {
  return puppeteer.launch({ browser, executablePath: find(NAMES[browser]), args: ARGUMENTS[browser], headless: true });
}

function find(names) {
  for (const name of names) {
    try {
      return execFileSync("which", [name], { encoding: "utf8" }).trim();
    } catch {
      // Try the next name.
    }
  }
  throw new Error(`browser: expected one of ${names.join(", ")}, found none. Run infra/desk/browser.sh.`);
}
