// Looks at pages in Chromium, wide and narrow, light and dark: axe finds nothing, nothing overflows, no other host is asked.
// Input: one JSON object on standard input. Exit code 0 when everything held; else what did not is on standard error.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chromium } from "playwright-core";

const { executable, pictures, pages } = JSON.parse(readFileSync(0, "utf8"));
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const browser = await chromium.launch({
  executablePath: executable,
  chromiumSandbox: false,
  headless: true,
  args: ["--disable-gpu", "--disable-background-networking", "--no-first-run", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
});
const complaints = [];
for (const { title, url, filter } of pages) {
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [1280, 360]) {
      const at = `${title}, ${width} px, ${colorScheme}`;
      const context = await browser.newContext({ viewport: { width, height: 800 }, colorScheme });
      const page = await context.newPage();
      page.on("console", (message) => {
        if (["error", "warning"].includes(message.type())) complaints.push(`${at}: ${message.text()}`);
      });
      page.on("pageerror", (error) => complaints.push(`${at}: ${error.message}`));
      page.on("request", (request) => {
        if (new URL(request.url()).host !== new URL(url).host && !request.url().startsWith("data:")) {
          complaints.push(`${at}: asked of another: ${request.url()}`);
        }
      });
      await page.goto(url);
      const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      if (over > 0) complaints.push(`${at}: ${over} px wider than the window`);
      // By the protocol of the browser, as the content security policy of a page does not ask.
      await page.evaluate(axe);
      const found = await page.evaluate(() => globalThis.axe.run());
      for (const { id, nodes } of found.violations) complaints.push(`${at}: ${id}: ${nodes[0].html}`);
      if (pictures) await page.screenshot({ path: join(pictures, `${title}-${width}-${colorScheme}.png`) });
      if (filter) {
        const rows = page.locator("tbody tr:visible");
        const before = await rows.count();
        await page.locator("input[type=search]").fill(filter);
        const kept = await rows.evaluateAll((all) => all.map((row) => row.cells[0].textContent));
        assert.ok(kept.length > 0 && kept.length < before, `${at}: ${kept.length} of ${before} rows`);
        assert.ok(kept.every((name) => name.toLowerCase().includes(filter.toLowerCase())), `${at}: ${kept}`);
        assert.equal(await page.locator("output").textContent(), `${kept.length} rows`);
      }
      await context.close();
    }
  }
}
await browser.close();
assert.deepEqual(complaints, []);
